"""The models that are known by name: official ONNX exports, each from its own project's release page.

A name stands here only where public material names its file at its address, and a checksum only where public material
records it for that very file; `checksum_source` says which. The others are trusted on first use.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

_YOLOV5 = "https://github.com/ultralytics/yolov5/releases/download/v7.0/"
_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
_YOLOV10 = "https://github.com/THU-MIG/yolov10/releases/download/v1.1/"
_YOLOX = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"

_LICENCE_URLS = {
    _YOLOV5: "https://github.com/ultralytics/yolov5/blob/master/LICENSE",
    _ULTRALYTICS: "https://github.com/ultralytics/ultralytics/blob/main/LICENSE",
    _YOLOV10: "https://github.com/THU-MIG/yolov10/blob/main/LICENSE",
    _YOLOX: "https://github.com/Megvii-BaseDetection/YOLOX/blob/main/LICENSE",
}

# Each of these hashed the release's own file. For YOLOX, and for the sizes n, s and m of the others, unrelated public
# repositories record the same values for the same files.
_GITHUB = "https://github.com/"
_SCIML = f"{_GITHUB}SciML/YOLOWeights.jl/blob/12bb87a6059cc8b161eb6c4acd4d2ff8d6b39459/src/YOLOWeights.jl"
_CORMORANT = (
    f"{_GITHUB}phoenix367/cormorant/blob/108871ce34794066a8ac32617c52ac144977765b/"
    "demo/object_detection/scripts/yolo_study.py"
)
_TENSORRT_CSHARP = (
    f"{_GITHUB}guojin-yan/TensorRT-CSharp-API/blob/965c4424ef1d1db94b8bda76ad3a5b8c12e8ab2d/"
    "samples/assets/yolovision-yolov10-official-assets.json"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model that can be fetched by its name.

    Attributes:
        name: What the user writes.
        family: The detector's family, as its authors call it.
        url: Where its project publishes it.
        licence: SPDX identifier of the weights' licence.
        licence_url: Where its text is.
        size_mb: The file's size in millions of bytes, for people; None where nothing public tells it.
        sha256: The checksum that the file must have; None where it is trusted on first use.
        checksum_source: Where `sha256` was published.
    """

    name: str
    family: str
    url: str
    licence: str
    licence_url: str
    size_mb: float | None = None
    sha256: str | None = None
    checksum_source: str | None = None

    @property
    def file_name(self) -> str:
        """The name of its file, at its address and in the cache."""
        return self.url.rsplit("/", 1)[1]


def _release(
    base: str, family: str, licence: str, source: str, *files: tuple[str, float | None, str | None]
) -> tuple[KnownModel, ...]:
    return tuple(
        KnownModel(
            name=name,
            family=family,
            url=f"{base}{name}.onnx",
            licence=licence,
            licence_url=_LICENCE_URLS[base],
            size_mb=size_mb,
            sha256=sha256,
            checksum_source=source if sha256 else None,
        )
        for name, size_mb, sha256 in files
    )


CATALOGUE: tuple[KnownModel, ...] = (
    *_release(
        _YOLOV5,
        "YOLOv5",
        "AGPL-3.0",
        _CORMORANT,
        ("yolov5n", 4.0, "04f0e55c26f58d17145b36045780fe1250d5bd2187543e11568e5141d05b3262"),
        ("yolov5s", 14.7, None),
        ("yolov5m", None, None),
        ("yolov5l", None, None),
        ("yolov5x", None, None),
    ),
    *_release(
        _ULTRALYTICS,
        "YOLOv8",
        "AGPL-3.0",
        _SCIML,
        ("yolov8n", 12.9, "b2bc52f40e8e1c532427d5bde3575a5d5b571b739fab2c6df443733ed1589cbd"),
        ("yolov8s", 44.9, "111b9b7df6f1256ec4fa9c9258f10bd824a48da75f7bc575d2f2634c2171ebf7"),
        ("yolov8m", 103.8, "3aa21a2bbcb5e374a5802c05c0a68795470dbe67caf6eec15b1802e236692407"),
        ("yolov8l", 175.0, "717d57246757ab2e8cdf9770d31987a1ce7fad4165b2820b3d99bc4798c0a75c"),
        ("yolov8x", 274.0, "fd6787fbef379d84120e258b09742e8d378ea8fdc40e4b8754e11a905dff2f77"),
    ),
    *_release(
        _YOLOV10,
        "YOLOv10",
        "AGPL-3.0",
        _TENSORRT_CSHARP,
        ("yolov10n", 9.4, "7025ea1913f9a259cf8a8465ed608e10610d1bb376db2e0348b13e3bd286e0d3"),
        ("yolov10s", None, None),
        ("yolov10m", None, None),
        ("yolov10b", None, None),
        ("yolov10l", None, None),
        ("yolov10x", None, None),
    ),
    *_release(
        _ULTRALYTICS,
        "YOLO11",
        "AGPL-3.0",
        _SCIML,
        ("yolo11n", 10.9, "634279b40c07c6391472c51ad45b81ebc48706a9a1fe72dd3396322acd0c053b"),
        ("yolo11s", 38.1, "21d6650c5097610c92c76ce5e4b717976059169eaea4962035b90c6a92c07a8f"),
        ("yolo11m", 80.7, "8a37b5c53ff642831aa454156b548ec2cf2537827445385c3e1c1b276cb666a3"),
        ("yolo11l", 103.0, "8237b045952af25c3c22d8b7424110e86342ea6cf2c4c32d1c096b864bc1b555"),
        ("yolo11x", 229.0, "a21552d23ff6eaab86eb6c0e9029da4b00944b75a54c504735f9f4ee38b74561"),
    ),
    *_release(
        _ULTRALYTICS,
        "YOLO26",
        "AGPL-3.0",
        _SCIML,
        ("yolo26n", 9.9, "2e947b787d9e787b93a16772a5f55b1d4d8c4d86f53146149c5d6a642442d6f7"),
        ("yolo26s", 38.3, "d26b65c432111eb95798cd2320603d4d75627605dbec6c6b7f98c499a80e7321"),
        ("yolo26m", 82.0, "5631854916f5d8418169580cde05647f3a1483b21a5026567f122c1fedab973d"),
        ("yolo26l", 100.0, "d32e8d2b3e5c7c591865d372712e42a88ff5bbc518f3bd83ad3621668de89f7a"),
        ("yolo26x", 223.0, "88568299de91d4967f239a062c9f1619f695ebd05de73cd66b8f589591aaeb0a"),
    ),
    *_release(
        _YOLOX,
        "YOLOX",
        "Apache-2.0",
        _SCIML,
        ("yolox_nano", 3.7, "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d"),
        ("yolox_tiny", 20.2, "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7"),
        ("yolox_s", 35.9, "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063"),
        ("yolox_m", 101.3, "21ff6cfdeb53b013bac2249599e55f00bff3cfdfdab37ed7a4620818c1d15b3f"),
        ("yolox_l", 216.7, "7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411"),
        ("yolox_x", 396.1, "c892d7aaf1c4746d8a4d675bec669a4db4f434b4ee1efb654bc9b353379c7c55"),
    ),
)


def find_known(name: str, catalogue: tuple[KnownModel, ...] = CATALOGUE) -> KnownModel | None:
    """The model of a name; case does not matter, and `yolox-s` is `yolox_s`. None if there is none."""
    wanted = _plain(name)
    return next((known for known in catalogue if _plain(known.name) == wanted), None)


def near_names(name: str, catalogue: tuple[KnownModel, ...] = CATALOGUE) -> list[str]:
    """At most three names that look like a name, the nearest first."""
    return difflib.get_close_matches(_plain(name), [known.name for known in catalogue], n=3, cutoff=0.6)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
