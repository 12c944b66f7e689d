"""Put a trained model and a freshly drawn clip into the package, with their checksums.

python -m training.embed --model build/training/street-yolov5n.xml
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import av

from keepbusy.embedded import ASSETS, CLIP_NAME, CLIP_SPEC, MODEL_NAME, checksums
from keepbusy.sources.street import Street

MAX_CLIP_BYTES = 4_000_000
MAX_MODEL_BYTES = 5_000_000


def write_clip(path: Path, spec: str = CLIP_SPEC) -> None:
    """Draw a scene and encode it as H.264, a key frame each second.

    Args:
        path: The file to write.
        spec: What to draw; finite.
    """
    source = Street(spec)
    container = av.open(str(path), "w", options={"movflags": "faststart"})
    stream = container.add_stream("libx264", rate=Fraction(source.info.fps or 30).limit_denominator(1001))
    stream.pix_fmt = "yuv420p"
    stream.options = {"preset": "slow", "crf": "23", "g": "30"}
    while (frame := source.read()) is not None:
        assert frame.image is not None
        if frame.index == 0:
            stream.width, stream.height = frame.width, frame.height
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
    container.mux(stream.encode())
    container.close()


def main() -> None:
    """Write the assets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="the exported .xml; without it only the clip is made")
    model = parser.parse_args().model
    ASSETS.mkdir(exist_ok=True)
    write_clip(ASSETS / CLIP_NAME)
    if model is not None:
        for suffix in (".xml", ".bin"):
            shutil.copyfile(model.with_suffix(suffix), ASSETS / f"{MODEL_NAME}{suffix}")
    clip_bytes = (ASSETS / CLIP_NAME).stat().st_size
    model_bytes = sum((ASSETS / f"{MODEL_NAME}{suffix}").stat().st_size for suffix in (".xml", ".bin"))
    print(f"clip {clip_bytes / 1e6:.2f} MB, model {model_bytes / 1e6:.2f} MB", file=sys.stderr)
    if clip_bytes > MAX_CLIP_BYTES or model_bytes > MAX_MODEL_BYTES:
        sys.exit(f"too large: at most {MAX_CLIP_BYTES} bytes of clip and {MAX_MODEL_BYTES} of model")
    (ASSETS / "checksums.json").write_text(json.dumps(checksums(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
