"""The page of features: what its column of keepbusy names is run, row by row, and does what the row says."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from PIL import Image

import keepbusy as kb
from keepbusy.embedded import embedded_clip, embedded_model
from tests.build import count_playable, image_of, write_picture
from tests.docs_pages import text_of
from tests.head_graphs import head_model
from tests.http_server import serving
from tests.quantized_graphs import by_nncf
from tests.starter import run_program
from tests.test_tasks import FRAME_HW, NAMES, pack, random_cells, save_graph

PAGE = "docs/reference/features.md"
OTHERS = ("Ultralytics", "supervision", "InferencePipeline")

Picture = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of one of the page's tables.

    Attributes:
        title: The heading that the table stands under.
        name: What somebody wants.
        ours: The cell of keepbusy.
        others: Those of the others.
    """

    title: str
    name: str
    ours: str
    others: tuple[str, ...]

    @property
    def calls(self) -> tuple[str, ...]:
        """What the cell of keepbusy names."""
        return tuple(re.findall(r"`([^`]+)`", self.ours))


def rows_of(page: str) -> tuple[Row, ...]:
    found, title = [], ""
    for line in text_of(page).splitlines():
        if line.startswith("## "):
            title = line[3:]
        if not line.startswith("| ") or set(line) <= set("| -"):
            continue
        name, ours, *others = (cell.strip() for cell in line.strip("|").split(" | "))
        if ours == "keepbusy":
            assert tuple(others) == OTHERS
        else:
            found.append(Row(title, name, ours, tuple(others)))
    return tuple(found)


ROWS = rows_of(PAGE)


class Scene:
    """The names that the page uses, and the files that it names in the current folder.

    Args:
        folder: Where the files are.
        runners: What runs the model.
        result: One of its results.
    """

    def __init__(self, folder: Path, runners: tuple[kb.Pipeline, kb.Detector], result: kb.Result) -> None:
        self.folder = folder
        self.pipeline, self.detector = runners
        self.result = result
        self.names: dict[str, Any] = {
            **{"kb": kb, "Image": Image, "Path": Path, "Alarm": Alarm, "Noise": Noise, "OnlyPeople": OnlyPeople},
            **{"pipeline": self.pipeline, "detector": self.detector, "pictures": self.pictures},
            **{"result": self.result, "found": self.result.detections, "image": self.image},
        }

    @property
    def image(self) -> Picture:
        return image_of(self.result.frame)

    @property
    def found(self) -> kb.Detections:
        return self.result.detections

    def pictures(self) -> Iterator[Picture]:
        yield from (self.image, self.image)

    def value(self, call: str, **names: Any) -> Any:
        """What a call gives."""
        return eval(call, {**self.names, **names})

    def run(self, statement: str, **names: Any) -> None:
        exec(statement, {**self.names, **names})


class Alarm(kb.Sink):
    """Counts."""

    num_written = 0

    def write(self, result: kb.Result) -> None:
        Alarm.num_written += 1


class Noise(kb.Source):
    """As many pictures of noise."""

    def __init__(self, num_frames: int) -> None:
        self.info = kb.SourceInfo("noise", num_frames=num_frames)
        self._index = 0

    def read(self) -> kb.Frame | None:
        if self._index == self.info.num_frames:
            return None
        image = np.random.default_rng(self._index).integers(0, 256, (360, 640, 3), np.uint8)
        self._index += 1
        return kb.Frame(image, self._index - 1, 0.0, 0, self.info.name)


class OnlyPeople(kb.Step):
    """Leaves people alone."""

    def __init__(self, info: kb.StreamInfo) -> None:
        pass

    def process(self, result: kb.Result) -> kb.Result:
        return dataclasses.replace(result, detections=result.detections.where(classes="person"))


class Numbered(kb.Step):
    """Gives each detection a number, as a tracker would."""

    def __init__(self, info: kb.StreamInfo) -> None:
        pass

    def process(self, result: kb.Result) -> kb.Result:
        found = result.detections
        return dataclasses.replace(result, detections=dataclasses.replace(found, track_id=np.arange(len(found))))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page names: a model, a video, pictures, one of them damaged, and an INT8 model."""
    folder = tmp_path_factory.mktemp("features")
    for suffix in (".xml", ".bin"):
        shutil.copy(embedded_model().with_suffix(suffix), folder / f"yolov5n{suffix}")
    kb.detect_to(None, embedded_clip(), folder / "street.mp4", limit=4, head="stock")
    source = kb.open_source(str(embedded_clip()))
    picture = cv2.resize(image_of(source.read()), (640, 360))
    source.close()
    for name in ("photo.jpg", "photos/1.jpg", "photos/2.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        write_picture(folder / name, np.asarray(picture, np.uint8))
    return folder


@pytest.fixture(scope="module")
def runners(files: Path) -> Iterator[tuple[kb.Pipeline, kb.Detector]]:
    model = files / "yolov5n.xml"
    with kb.Pipeline(model, head="stock") as pipeline, kb.Detector(model) as detector:
        yield pipeline, detector


@pytest.fixture(scope="module")
def result(files: Path, runners: tuple[kb.Pipeline, kb.Detector]) -> kb.Result:
    with runners[0].run(files / "street.mp4", limit=1) as run:
        return next(run)


@pytest.fixture
def scene(
    files: Path,
    runners: tuple[kb.Pipeline, kb.Detector],
    result: kb.Result,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    folder = tmp_path / "work"
    shutil.copytree(files, folder)
    monkeypatch.chdir(folder)
    return Scene(folder, runners, result)


Proof = Callable[..., None]
PROOFS: dict[str, Proof] = {}
"""A row's name → what runs its calls: given the scene and each call."""


def proves(name: str) -> Callable[[Proof], Proof]:
    def register(proof: Proof) -> Proof:
        PROOFS[name] = proof
        return proof

    return register


@proves("each detection")
def _(scene: Scene, loop: str) -> None:
    each: list[kb.Detections] = []
    scene.run(f"{loop}: each.append(one)", each=each)
    assert [len(one) for one in each] == [1] * len(scene.found) and len(each) > 3
    assert np.array_equal(np.concatenate([one.boxes_xyxy for one in each]), scene.found.boxes_xyxy)


@proves("one, or some of them")
def _(scene: Scene, one: str, first: str, some: str) -> None:
    boxes = scene.found.boxes_xyxy
    for call, index in ((one, [0]), (first, [0, 1, 2]), (some, [2, 0])):
        assert np.array_equal(scene.value(call).boxes_xyxy, boxes[index])


@proves("to filter")
def _(scene: Scene, by_class: str, by_conf: str) -> None:
    people, sure = scene.value(by_class), scene.value(by_conf)
    assert 0 < len(people) < len(scene.found) and {people.name(index) for index in range(len(people))} == {"person"}
    assert 0 < len(sure) < len(scene.found) and sure.confidence.min() > 0.5


@proves("the picture with boxes")
def _(scene: Scene, call: str) -> None:
    assert scene.value(call).shape == scene.image.shape and not np.array_equal(scene.value(call), scene.image)


@proves("that as a file")
def _(scene: Scene, call: str) -> None:
    scene.value(call)
    assert np.asarray(cv2.imread("a.jpg")).shape == scene.image.shape


@proves("what was found, cut out")
def _(scene: Scene, call: str) -> None:
    assert len(scene.value(call)) == len(scene.found) and all(one.size for one in scene.value(call))


@proves("JSON")
def _(scene: Scene, call: str) -> None:
    assert len(json.loads(scene.value(call))["detections"]) == len(scene.found)


@proves("CSV")
def _(scene: Scene, call: str) -> None:
    assert len(scene.value(call).splitlines()) == len(scene.found) + 1


@proves("a pandas table")
def _(scene: Scene, call: str) -> None:
    pytest.importorskip("pandas")
    assert len(scene.value(call)) == len(scene.found)


@proves("boxes as centre and size")
def _(scene: Scene, call: str) -> None:
    left_top, right_bottom = scene.found.boxes_xyxy[:, :2], scene.found.boxes_xyxy[:, 2:]
    expected = np.concatenate([(left_top + right_bottom) / 2, right_bottom - left_top], axis=1)
    np.testing.assert_allclose(scene.value(call), expected, rtol=1e-5)


@proves("boxes as shares of the picture")
def _(scene: Scene, corners: str, centres: str) -> None:
    height, width = scene.image.shape[:2]
    size = np.array([width, height, width, height], np.float32)
    np.testing.assert_allclose(scene.value(corners) * size, scene.found.boxes_xyxy, rtol=1e-5)
    np.testing.assert_allclose(scene.value(centres) * size, scene.found.boxes_xywh, rtol=1e-5)


@proves("one line that says what there is")
def _(scene: Scene, call: str) -> None:
    said = scene.value(call)
    assert said.startswith(f"Detections({len(scene.found)}: ") and "person" in said and "\n" not in said


@proves("the picture in a notebook")
def _(scene: Scene, call: str) -> None:
    shown = scene.value(call)._repr_jpeg_()
    assert np.asarray(cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_COLOR)).shape[2] == 3


@proves("masks")
def _(scene: Scene, arrays: str, outlines: str) -> None:
    model = head_model(scene.folder / "seg.xml", "yolov8-seg")
    found = kb.Detector(model, conf=0.3)(scene.image)
    height, width = scene.image.shape[:2]
    assert scene.value(arrays, found=found).shape == (len(found), height, width) and len(found) > 0
    assert all(one.shape[1] == 2 for one in scene.value(outlines, found=found))


@proves("keypoints")
def _(scene: Scene, call: str) -> None:
    model = head_model(scene.folder / "pose.xml", "yolov8-pose")
    found = kb.Detector(model, conf=0.3)(scene.image)
    assert len(found) > 0 and scene.value(call, found=found).shape[::2] == (len(found), 3)


@proves("rotated boxes")
def _(scene: Scene, rotated: str, corners: str) -> None:
    rows = pack("yolov8", "obb", *random_cells(6, 1))
    words = {"task": "obb", "names": str(dict(enumerate(NAMES))), "stride": "32"}
    model = save_graph(scene.folder / "obb.xml", rows, slice(4, 4 + len(NAMES)), (), words)
    found = kb.Detector(model)(np.full((*FRAME_HW, 3), 255, np.uint8))
    assert len(found) > 0 and scene.value(rotated, found=found).shape == (len(found), 5)
    assert scene.value(corners, found=found).shape == (len(found), 4, 2)


@proves("supervision's tools")
def _(scene: Scene, call: str) -> None:
    pytest.importorskip("supervision")
    assert np.array_equal(scene.value(call).xyxy, scene.found.boxes_xyxy)


@proves("a video, a folder, a glob")
def _(scene: Scene, video: str, folder: str, pattern: str) -> None:
    assert [len(list(scene.value(call))) for call in (video, folder, pattern)] == [4, 2, 2]


@proves("an array")
def _(scene: Scene, call: str) -> None:
    assert len(scene.value(call)) > 3


@proves("a list of arrays")
def _(scene: Scene, call: str) -> None:
    assert [len(found) > 3 for found in scene.value(call)] == [True, True]


@proves("a picture of Pillow")
def _(scene: Scene, call: str) -> None:
    same_as_the_file(scene, scene.value(call))


@proves("a picture's bytes")
def _(scene: Scene, call: str) -> None:
    same_as_the_file(scene, scene.value(call))


@proves("a picture's address")
def _(scene: Scene, call: str) -> None:
    content = Path("photo.jpg").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with serving(Handler) as address:
        same_as_the_file(scene, scene.value(call.replace("https://host", address)))


def same_as_the_file(scene: Scene, found: kb.Detections) -> None:
    expected = scene.detector("photo.jpg")
    assert len(expected) > 3 and np.allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=1)


@proves("a generator of arrays")
def _(scene: Scene, call: str) -> None:
    assert [len(result.detections) > 3 for result in scene.value(call)] == [True, True]


@proves("files of all kinds in one call")
def _(scene: Scene, call: str) -> None:
    assert scene.value(call).numbers.num_frames == 4
    assert len(Path("out.jsonl").read_text(encoding="utf-8").splitlines()) == count_playable(Path("out.mp4")) == 4


@proves("asyncio")
def _(scene: Scene, loop: str, call: str) -> None:
    each: list[kb.Result] = []
    program = f"async def main():\n    {loop}:\n        each.append(result)\n    return {call}\n"
    with kb.Detector("yolov5n.xml") as detector:  # Its own: the thread of calls that are awaited lives as long as it.
        names = {**scene.names, "each": each, "detector": detector}
        exec(program, names)
        found = asyncio.run(names["main"]())
    assert [result.frame.index for result in each] == [0, 1, 2, 3] and len(found) > 3


@proves("options that are typed and checked")
def _(scene: Scene, call: str) -> None:
    with scene.value(call) as pipeline:
        assert all(result.detections.confidence.min() >= 0.4 for result in pipeline.run("street.mp4"))
    for wrong in (call.replace("conf=0.4", "konf=0.4"), call.replace("0.4", "4"), call.replace("0.4", "'high'")):
        with pytest.raises(kb.ConfigError, match=r"[ck]onf"):
            scene.value(wrong)


@proves("an archive, continued after a crash")
def _(scene: Scene, call: str) -> None:
    first = scene.value(call)
    assert (first.num_files, first.num_frames, first.num_problems) == (2, 2, 0)
    manifest = Path("found/manifest.jsonl")
    # A crash behind the shard, before the manifest has it.
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(line for line in lines if b'"what":"done"' not in line))
    assert scene.value(call).num_frames == 2


@proves("SQL over what was found")
def _(scene: Scene, call: str) -> None:
    kb.batch.run_batch("photos/", "found", "yolov5n.xml")
    found = scene.value(call).to_pylist()
    assert {row["source"] for row in found} == {"photos/1.jpg", "photos/2.jpg"} and all(row["n"] > 0 for row in found)


@proves("a sink of your own, documented")
def _(scene: Scene, call: str) -> None:
    before = Alarm.num_written
    scene.value(call)
    assert Alarm.num_written - before == 4


@proves("a source of your own, documented")
def _(scene: Scene, call: str) -> None:
    assert [result.frame.index for result in scene.value(call)] == [0, 1, 2, 3, 4]


@proves("a step between model and sinks")
def _(scene: Scene, call: str) -> None:
    results = stepped(scene, scene.value(call))
    found = {result.detections.name(index) for result in results for index in range(len(result.detections))}
    assert found == {"person"}


def stepped(scene: Scene, config: kb.StreamConfig) -> list[kb.Result]:
    with scene.pipeline.start() as run:
        run.add("street.mp4", config)
        run.end()
        return list(run)


@proves("tracking")
def _(scene: Scene, attribute: str) -> None:
    assert getattr(scene.found, attribute) is None
    results = stepped(scene, kb.StreamConfig(steps=(Numbered,)))
    assert [one[attribute] for one in results[0].to_dict()["detections"]] == list(range(len(results[0].detections)))
    assert attribute in results[0].detections.to_csv()


@proves("INT8 files on the fast path: head replaced, numbers kept")
def _(scene: Scene, head: str, quantized: str) -> None:
    pytest.importorskip("nncf")
    path = head_model(scene.folder / "float.xml", "yolov8")
    int8 = scene.folder / "int8.xml"
    ov.save_model(by_nncf(ov.Core().read_model(path), (64, 96)), int8, compress_to_fp16=False)
    with kb.Pipeline(int8, head="tail", shape="square") as pipeline:
        assert len(list(pipeline.run("photo.jpg"))) == 1
        assert (scene.value(head, pipeline=pipeline), scene.value(quantized, pipeline=pipeline)) == ("tail", "keep")


@proves("every frame accounted for, drops counted by cause")
def _(scene: Scene, call: str) -> None:
    with scene.pipeline.run("street.mp4", "photos/") as run:
        num_results = len(list(run))
        streams = scene.value(call, run=run)
    assert sum(one.num_results for one in streams) == num_results == 6
    for one in streams:
        assert one.num_arrived == one.num_results + sum(one.dropped.values()) + one.num_in_flight


@proves("hardware decoding that falls back and says why")
def _(scene: Scene, call: str) -> None:
    decoding = scene.value(call)
    assert decoding.decoder == "software" and decoding.reason


@proves("a bad picture that does not end the run")
def _(scene: Scene, call: str) -> None:
    Path("photos/1.jpg").write_bytes(Path("photos/2.jpg").read_bytes()[:300])
    with scene.value(call) as pipeline:
        assert [result.error is None for result in pipeline.run("photos/")] == [False, True]


@proves("how many cameras fit a machine")
def _(scene: Scene, call: str) -> None:
    done = run_program(*call.split()[1:], "--seconds", "5", "--json", cwd=scene.folder)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["fits"] >= 0 and plan["given"]["fps"] > 0 and plan["limit"]


@proves("where the time went")
def _(scene: Scene, call: str) -> None:
    with scene.pipeline.run("street.mp4") as run:
        assert len(list(run)) == 4
        stages = scene.value(call, run=run)
    assert [one.stage for one in stages][:4] == ["read", "preprocess", "infer", "postprocess"]
    assert all(one.busy_s > 0 for one in stages[:4])


def test_each_row_has_a_proof() -> None:
    assert {row.name for row in ROWS} == set(PROOFS) and len(ROWS) == len(PROOFS)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_what_is_named_does_it(row: Row, scene: Scene) -> None:
    PROOFS[row.name](scene, *row.calls)


def test_no_cell_is_empty_and_ours_has_no_gap_but_the_one_that_is_told() -> None:
    for row in ROWS:
        assert row.ours and len(row.others) == len(OTHERS) and all(row.others), row.name
        says_no = row.ours.strip("*").lower().startswith(("no", "–", "yours"))
        assert says_no == (row.name == "tracking") and row.calls, row.name


def test_what_is_named_of_supervision_is_there() -> None:
    supervision = pytest.importorskip("supervision")
    cells = " ".join(cell for row in ROWS for cell in row.others)
    names = set(re.findall(r"`sv\.(\w+)", cells))
    assert len(names) > 8 and [name for name in names if not hasattr(supervision, name)] == []
    empty = supervision.Detections.empty()
    assert all(hasattr(empty, name) for name in re.findall(r"`detections\.(\w+)", cells))
    assert f"supervision {supervision.__version__}" in text_of(PAGE)
