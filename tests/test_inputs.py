"""What people give as pictures, sources, classes, devices and options: what is taken, and what is said of the rest."""

from __future__ import annotations

import io
import re
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
import torch

import keepbusy as kb
from keepbusy.checks import check_choice, check_device
from keepbusy.config import DetectConfig, DeviceConfig, OutletConfig, RunConfig, SelectConfig
from keepbusy.errors import ConfigError, FrameError, KeepbusyError, ModelError, SourceError
from keepbusy.sources import opened
from keepbusy.sources.generated import Generated
from keepbusy.sources.given import flatten, open_mixed
from keepbusy.sources.single import read_single
from tests.build import build_blob_model, square_picture, write_picture, write_video
from tests.graphs import onnx_model
from tests.http_server import ReleasePage, release_page

NO_PICTURES: list[tuple[Any, str, str]] = [
    (None, "a picture cannot be made of NoneType", "give a path"),
    (True, "a picture cannot be made of bool", "give a path"),
    (0, "a picture cannot be made of the number 0", "Pipeline.run takes videos, folders, cameras"),
    (1.5, "a picture cannot be made of float", "give a path"),
    (object(), "a picture cannot be made of object", "give a path"),
    ({"a": square_picture()}, "a picture cannot be made of dict", r"list\(pictures.values\(\)\)"),
    ({"a.jpg"}, "a picture cannot be made of set", "give a path"),
    (b"", "frame 0: the file is empty", "replace it"),
    (b"bus.jpg", "frame 0: the bytes are no encoded picture, but a text", "give a path as text"),
    (bytearray(b"bus.jpg"), "frame 0: the bytes are no encoded picture", "give a path as text"),
    ("", "the picture's path is empty", "bus.jpg"),
    ("rtsp://door/stream", "rtsp://door/stream: is no picture's address", "Pipeline.run takes"),
    (np.ndarray, "a picture cannot be made of the class ndarray", r"ndarray\(...\)"),
    (io.StringIO("x" * 9), "frame 0: the file is open as text", r"open\(path, \"rb\"\)"),
    (cv2.VideoCapture(), "a picture cannot be made of VideoCapture", "Pipeline.run"),
    (Generated(iter(())), "a picture cannot be made of Generated", r"pipeline.run\(source\)"),
    ((one for one in "ab"), "a picture cannot be made of generator", r"detector.stream\(pictures\)"),
    (torch.zeros(3, 8, 8), "a picture cannot be made of Tensor", r"permute\(1, 2, 0\).*channels=\"rgb\""),
    (
        np.zeros((8, 8, 3)),
        r"must be uint8 \(H, W, 3\), and is float64 \(8, 8, 3\)",
        r"\(image \* 255\).astype\(np.uint8\)",
    ),
    (np.zeros((8, 8, 3), np.float32), "and is float32", r"\(image \* 255\).astype\(np.uint8\)"),
    (np.zeros((8, 8, 3), np.uint16), "and is uint16", "image >> 8"),
    (np.zeros((8, 8), np.bool_), "and is bool", r"image.astype\(np.uint8\) \* 255"),
    (np.zeros((8, 8, 3), np.int64), "and is int64", "give uint8"),
    (np.zeros((3, 8, 8), np.uint8), r"and is uint8 \(3, 8, 8\)", r"image.transpose\(1, 2, 0\)"),
    (np.zeros((2, 8, 8, 3), np.uint8), r"and is uint8 \(2, 8, 8, 3\)", r"list\(batch\)"),
    (np.zeros((8, 8, 2), np.uint8), r"and is uint8 \(8, 8, 2\)", "give uint8"),
    (np.zeros(8, np.uint8), r"and is uint8 \(8,\)", "give uint8"),
    (np.zeros((0, 8, 3), np.uint8), r"and is uint8 \(0, 8, 3\)", "has pixels"),
    (np.array("bus.jpg"), "and is <U7", "give uint8"),
]

NO_SOURCES: list[tuple[Any, str, str]] = [
    (None, "a source cannot be made of NoneType", "give a path"),
    (True, "a source cannot be made of bool", "give a path"),
    (1.5, "a source cannot be made of float", "give a path"),
    (object(), "a source cannot be made of object", "a generator of these"),
    ({}, "a source cannot be made of dict", "list of its values"),
    (cv2.VideoCapture(), "a source cannot be made of VideoCapture", "Pipeline.run"),
    (kb.Source, "a source cannot be made of the class Source", r"Source\(...\)"),
    (torch.zeros(3, 8, 8), "a source cannot be made of Tensor", "permute"),
    (np.zeros((8, 8, 3), np.float32), "an array of float32 with the shape .* is no picture", "255"),
    (np.zeros((3, 8, 8), np.uint8), "is no picture", "transpose"),
    ([None], "a source cannot be made of NoneType", "give a path"),
    ([], "run: no source given", "name at least one"),
    ((), "run: no source given", "name at least one"),
]


def assert_found(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text


@pytest.fixture
def detector(blob_model: Path) -> Iterator[kb.Detector]:
    with kb.Detector(blob_model) as made:
        yield made


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kb.Pipeline]:
    with kb.Pipeline(build_blob_model(tmp_path_factory.mktemp("inputs") / "blob.xml")) as made:
        yield made


def encoded(ending: str = ".png") -> bytes:
    return bytes(cv2.imencode(ending, square_picture())[1].tobytes())


def same(found: kb.Detections, expected: kb.Detections) -> bool:
    return np.array_equal(found.boxes_xyxy, expected.boxes_xyxy) and np.array_equal(found.class_id, expected.class_id)


# Pictures for a Detector.


@pytest.mark.parametrize(("given", "words", "hint"), NO_PICTURES, ids=map(str, range(len(NO_PICTURES))))
def test_what_is_no_picture_is_refused_by_what_it_is(detector: kb.Detector, given: Any, words: str, hint: str) -> None:
    for call in (lambda: detector(given), lambda: detector([given]), lambda: next(detector.stream([given]))):
        with pytest.raises((ConfigError, FrameError), match=words) as caught:
            call()
        assert caught.value.hint is not None
        assert_found(hint, caught.value.hint)


def test_every_form_of_a_picture_gives_the_same(detector: kb.Detector, tmp_path: Path) -> None:
    bgr = square_picture()
    path = write_picture(tmp_path / "a.png", bgr)
    expected = detector(bgr)
    assert expected.class_id.tolist()[0] == 0
    bgra = np.dstack([bgr, np.full(bgr.shape[:2], 77, np.uint8)])
    forms: list[Any] = [
        path,
        str(path),
        path.read_bytes(),
        bytearray(path.read_bytes()),
        memoryview(path.read_bytes()),
        encoded(".bmp"),
        io.BytesIO(path.read_bytes()),
        path.open("rb"),
        path.open("rb", buffering=0),
        bgra,
        np.asfortranarray(bgr),
        PIL.Image.open(path),
        PIL.Image.open(path).convert("RGBA"),
    ]
    for given in forms:
        assert same(detector(given), expected), type(given)
        if isinstance(given, io.IOBase):
            assert not given.closed
            given.seek(0)
    found = detector(forms)
    for given in forms:
        if isinstance(given, io.IOBase):
            given.close()
    assert len(found) == len(forms) and all(same(one, expected) for one in found)
    grey = detector(bgr[:, :, 2])
    assert same(grey, detector(np.repeat(bgr[:, :, 2:], 3, axis=2))) and same(grey, detector(bgr[:, :, 2:]))
    assert detector([]) == []
    assert detector(()) == []


def test_arrays_are_taken_as_rgb_where_that_is_said(blob_model: Path, detector: kb.Detector, tmp_path: Path) -> None:
    bgr = square_picture()
    rgb = np.ascontiguousarray(bgr[:, :, ::-1])
    path = write_picture(tmp_path / "a.png", bgr)
    expected = detector(bgr)
    with kb.Detector(blob_model, channels="rgb") as other, kb.Pipeline(blob_model, channels="rgb") as pipeline:
        rgba = np.dstack([rgb, np.full(rgb.shape[:2], 9, np.uint8)])
        for given in (rgb, rgba, path, path.read_bytes(), PIL.Image.open(path)):
            assert same(other(given), expected)
        results = list(pipeline.run(rgb, rgba, iter([rgb]), path))
        assert len(results) == 4 and all(same(one.detections, expected) for one in results)
        assert all(np.array_equal(one.frame.image, bgr) for one in results if one.frame.image is not None)
    assert not same(detector(rgb), expected)


def test_a_list_names_the_picture_that_fails(detector: kb.Detector, tmp_path: Path) -> None:
    good = square_picture()
    with pytest.raises(FrameError, match=r"gone\.png: frame 2: cannot read the file"):
        detector([good, good, tmp_path / "gone.png", good])
    with pytest.raises(FrameError, match="frame 9: the file is not a picture, or is damaged"):
        detector([good] * 9 + [b"\x00\xff\x00" * 90, good])


def test_a_video_or_a_folder_is_told_where_it_belongs(detector: kb.Detector, clip: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("a.jpg\n")
    named: dict[Any, str] = {
        clip: "is not a picture",
        tmp_path: "is a folder, not a picture",
        f"{tmp_path}/": "is a folder",
        listed: "is not a picture",
        "shots/*.jpg": "is a pattern",
        "frame_%04d.png": "is a pattern",
        "0": "is a camera's number",
        "-": "is standard input",
        "synth:street": "is a synthetic scene",
    }
    for given, words in named.items():
        with pytest.raises(FrameError, match=words) as caught:
            detector(given)
        assert "Pipeline.run takes videos, folders" in (caught.value.hint or "")
        assert "`keepbusy detect`" in (caught.value.hint or "")
    with pytest.raises(FrameError) as caught:
        detector(tmp_path / "gone.jpg")
    assert "Pipeline.run" not in (caught.value.hint or "")


def test_a_stream_is_lazy_in_order_and_goes_on_behind_a_failure(detector: kb.Detector) -> None:
    taken: list[int] = []

    def pictures() -> Iterator[Any]:
        for index in range(200):
            taken.append(index)
            yield square_picture(index % 60) if index != 3 else None

    stream = detector.stream(pictures())
    assert taken == []
    for index in range(20):
        if index == 3:
            with pytest.raises(ConfigError, match="NoneType"):
                next(stream)
            continue
        assert same(next(stream), detector(square_picture(index % 60)))
    assert len(taken) < 60
    stream.close()
    assert list(stream) == []
    with detector.stream(square_picture() for _ in range(30)) as whole:
        assert len(list(whole)) == 30


def test_what_a_generator_fails_with_comes_behind_its_last_picture(detector: kb.Detector) -> None:
    def pictures() -> Iterator[Any]:
        yield from [square_picture()] * 3
        raise OSError("the disk is gone")

    stream = detector.stream(pictures())
    for _ in range(3):
        next(stream)
    with pytest.raises(OSError, match="the disk is gone"):
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)


NO_STREAMS = [None, 3, "bus.jpg", b"bytes", bytearray(b"a"), memoryview(b"a"), square_picture(), io.BytesIO(b"a\nb")]


@pytest.mark.parametrize("given", [*NO_STREAMS, Path("bus.jpg"), object(), PIL.Image.new("RGB", (8, 8))])
def test_a_stream_of_what_gives_no_pictures_is_refused(detector: kb.Detector, given: Any) -> None:
    with pytest.raises(ConfigError, match=r"stream: .* does not give pictures one by one") as caught:
        detector.stream(given)
    assert "Pipeline.run" in (caught.value.hint or "")


# Sources of a run.


@pytest.mark.parametrize(("given", "words", "hint"), NO_SOURCES, ids=map(str, range(len(NO_SOURCES))))
def test_what_is_no_source_is_refused_by_what_it_is(pipeline: kb.Pipeline, given: Any, words: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        pipeline.run(given)
    assert_found(hint, caught.value.hint or "")
    # Nothing is left behind.
    assert len(list(pipeline.run(square_picture()))) == 1


def test_a_run_takes_a_generator_lazily_as_one_stream(pipeline: kb.Pipeline, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", square_picture())
    num_taken = 0

    def pictures() -> Iterator[Any]:
        nonlocal num_taken
        for index in range(300):
            num_taken += 1
            yield [square_picture(), path, path.read_bytes(), PIL.Image.fromarray(square_picture())][index % 4]

    run = pipeline.run(pictures())
    for index in range(5):
        result = next(run)
        assert (result.frame.index, result.frame.source_id) == (index, 0)
        assert len(result.detections)
    assert num_taken < 100
    run.close()
    assert len(list(pipeline.run((square_picture() for _ in range(70)), square_picture()))) == 71
    assert [result.frame.index for result in pipeline.run(map(np.asarray, [square_picture()] * 9), stride=4)] == [
        0,
        4,
        8,
    ]


def test_a_generator_that_waits_for_results_of_its_own_run_does_not_block(pipeline: kb.Pipeline) -> None:
    may_go_on = threading.Event()

    def pictures() -> Iterator[Any]:
        yield square_picture()
        assert may_go_on.wait(30)
        yield square_picture()

    run = pipeline.run(pictures())
    assert next(run).frame.index == 0
    may_go_on.set()
    assert next(run).frame.index == 1
    assert list(run) == []


def test_what_a_generator_gives_wrong_is_that_frames_error(pipeline: kb.Pipeline) -> None:
    with kb.Pipeline(pipeline.model.path, on_error="skip") as other:
        results = list(other.run(one for one in (square_picture(), None, np.zeros((4, 4)), b"text", square_picture())))
    assert [result.error is None for result in results] == [True, False, False, False, True]
    for result, words in zip(results[1:4], ("NoneType", "float64", "bytes"), strict=True):
        assert result.error is not None and words in result.error.message and result.error.stage == "read"

    def failing() -> Iterator[Any]:
        yield square_picture()
        raise RuntimeError("the sensor is gone")

    with pytest.raises(FrameError, match="the sensor is gone"):
        list(pipeline.run(failing()))


def test_a_generator_is_closed_with_its_run_and_cannot_be_wound_back(pipeline: kb.Pipeline) -> None:
    closed: list[bool] = []

    def pictures() -> Iterator[Any]:
        try:
            while True:
                yield square_picture()
        finally:
            closed.append(True)

    with pipeline.run(pictures()) as run:
        next(run)
    assert closed == [True]
    with pytest.raises(FrameError, match="cannot be wound back"):
        list(pipeline.run((square_picture() for _ in range(2)), loop=True))
    generator = (square_picture() for _ in range(2))
    pipeline.plan(generator)
    assert len(list(generator)) == 2, "planning takes nothing from it"
    with pytest.raises(SourceError, match="wound back"):
        Generated(iter(())).rewind()


def test_pictures_in_memory_that_follow_each_other_are_one_source(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", square_picture())
    bgr, content = square_picture(), path.read_bytes()
    opened = open_mixed(flatten(([bgr, content, PIL.Image.open(path)], path, bgr, (bgr for _ in range(2)), [bgr])))
    assert [source.info.num_frames for source in opened] == [3, 1, 1, None, 1]
    assert opened[0].frame_sizes() == {(64, 96): 3}
    for source in opened:
        while (frame := source.read()) is not None:
            assert frame.image is not None and np.array_equal(frame.image, bgr)
        source.close()


def test_bytes_that_cannot_be_decoded_are_their_frames_error(blob_model: Path) -> None:
    broken = encoded()[:60]
    with kb.Pipeline(blob_model, on_error="skip") as pipeline:
        results = list(pipeline.run([encoded(), broken, encoded(".jpg")]))
    assert [result.error is None for result in results] == [True, False, True]
    assert results[1].error is not None and results[1].error.frame_index == 1


def test_max_pixels_holds_for_every_form(blob_model: Path, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", square_picture())
    with path.open("rb") as file, PIL.Image.open(path) as picture:
        for given in (path, path.read_bytes(), io.BytesIO(path.read_bytes()), file, picture):
            with pytest.raises(FrameError, match="more than the 6,143 that are allowed"):
                read_single(given, max_pixels=64 * 96 - 1)
            if isinstance(given, io.IOBase):
                given.seek(0)
            assert read_single(given, max_pixels=64 * 96)[1].shape == (64, 96, 3)
        file.seek(0)
        with kb.Pipeline(blob_model, max_pixels=6143, on_error="skip") as pipeline:
            for given in (path, path.read_bytes(), file, picture):
                (result,) = pipeline.run(given)
                assert result.error is not None and "allowed" in result.error.message
            # An array is in memory already.
            (result,) = pipeline.run(square_picture())
            assert result.error is None
    assert read_single(square_picture(), max_pixels=1)[1].shape == (64, 96, 3)


class Upload:
    """A file as web frameworks have it: `read` alone, in pieces of its own."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.num_read = 0

    def read(self, size: int = -1) -> bytes:
        piece, self.content = self.content[:100], self.content[100:]
        self.num_read += len(piece)
        return piece


class Endless(Upload):
    def read(self, size: int = -1) -> bytes:
        self.num_read += size
        return b"\xff" * size


class AsyncUpload:
    async def read(self, size: int = -1) -> bytes:
        raise AssertionError


def test_an_open_file_is_read_from_where_it_stands(detector: kb.Detector) -> None:
    expected = detector(square_picture())
    behind = io.BytesIO(b"12345" + encoded())
    behind.seek(5)
    assert same(detector(behind), expected)
    with pytest.raises(FrameError, match="the file gives no bytes") as caught:
        detector(behind)
    assert "seek(0)" in (caught.value.hint or "")
    assert same(detector(Upload(encoded())), expected)  # type: ignore[call-overload]
    with zipfile.ZipFile(io.BytesIO(), "w") as archive:
        archive.writestr("a.png", encoded())
        with archive.open("a.png") as member:
            assert same(detector(member), expected)
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(encoded())
        file.seek(0)
        assert same(detector(file), expected)


def test_an_open_file_has_limits_and_is_told_what_it_lacks(detector: kb.Detector, monkeypatch: Any, clip: Path) -> None:
    monkeypatch.setattr(opened, "MAX_PICTURE_BYTES", 1 << 22)
    endless = Endless(b"")
    with pytest.raises(FrameError, match="the file has more than 4,194,304 bytes") as caught:
        detector(endless)  # type: ignore[call-overload]
    assert endless.num_read < 1 << 23 and "Pipeline.run" in (caught.value.hint or "")
    with pytest.raises(ConfigError, match="a picture cannot be made of AsyncUpload") as caught_async:
        detector(AsyncUpload())  # type: ignore[call-overload]
    assert caught_async.value.hint == "give the file's content: await file.read()"
    with clip.open(encoding="utf-8") as text, pytest.raises(FrameError, match="the file is open as text"):
        detector(text)  # type: ignore[arg-type]
    with clip.open("rb") as video, pytest.raises(FrameError, match="is not a picture"):
        detector(video)
    closed = io.BytesIO(encoded())
    closed.close()
    with pytest.raises(FrameError, match="cannot be read: I/O operation on closed file"):
        detector(closed)


def test_a_run_takes_open_files_once_and_in_loops(pipeline: kb.Pipeline, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", square_picture())
    with path.open("rb") as first, path.open("rb") as second, path.open("rb") as third:
        (source,) = open_mixed(flatten(([first, io.BytesIO(encoded()), square_picture()],)))
        assert source.frame_sizes() == {(64, 96): 3}, "it stands where it stood"
        pipeline.plan(first)
        results = list(pipeline.run([first, square_picture()], (one for one in [second])))
        assert len(results) == 3 and all(len(one.detections) for one in results)
        assert len(list(pipeline.run(third, loop=True, limit=3))) == 3
        with kb.Pipeline(pipeline.model.path, on_error="skip") as other:
            assert [one.error is None for one in other.run([third, b"a.png", square_picture()])] == [False, False, True]


def test_a_path_may_begin_with_the_home_folder(
    detector: kb.Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "a.png", square_picture())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert same(detector("~/a.png"), detector(square_picture()))


def test_a_large_video_is_not_read_to_find_out_that_it_is_no_picture(detector: kb.Detector, tmp_path: Path) -> None:
    with (tmp_path / "a.mp4").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FrameError, match="is a video or a list by its name") as caught:
        detector(tmp_path / "a.mp4")
    assert "Pipeline.run" in (caught.value.hint or "")


# Classes, devices, sizes, models.


def test_classes_are_chosen_by_name_and_id(blob_model: Path) -> None:
    picture = square_picture()
    picture[:32, 64:] = (0, 255, 0)
    for classes, expected in (
        (["red"], {0}),
        (("green", "red"), {0, 1}),
        (["red", 1], {0, 1}),
        ("green", {1}),
        (1, {1}),
        ([np.int64(1)], {1}),
        (np.array([0, 1]), {0, 1}),
        ({"green"}, {1}),
        (["  Green "], {1}),
        (None, {0, 1}),
        (lambda names: ["green"], {1}),
    ):
        with kb.Detector(blob_model, classes=classes) as detector:  # type: ignore[arg-type]
            assert set(detector(picture).class_id.tolist()) == expected, classes
    picture[:32, 64:] = (0, 170, 0)
    by_id, by_name = ({0: 0.3, 1: 0.9}, {"red": 0.3, "green": 0.9})
    with (
        kb.Detector(blob_model) as plain,
        kb.Detector(blob_model, class_conf=by_id) as one,
        kb.Detector(blob_model, class_conf=by_name) as other,
    ):
        assert same(one(picture), other(picture))
        assert 0 < len(other(picture)) < len(plain(picture))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("cpu", "CPU"),
        ("CPU", "CPU"),
        (" Cpu ", "CPU"),
        ("cpu:0", "CPU"),
        ("intel:cpu", "CPU"),
        ("intel:gpu", "GPU"),
        ("intel:npu", "NPU"),
        ("gpu", "GPU"),
        ("gpu:0", "GPU"),
        ("gpu:1", "GPU.1"),
        ("GPU.0", "GPU.0"),
        ("GPU.1", "GPU.1"),
        ("intel:gpu:2", "GPU.2"),
        ("auto", "AUTO"),
        ("AUTO:GPU,CPU", "AUTO:GPU,CPU"),
        ("HETERO:GPU,CPU", "HETERO:GPU,CPU"),
        (torch.device("cpu"), "CPU"),
    ],
)
def test_devices_have_names_that_people_write(given: Any, expected: str) -> None:
    assert check_device(given) == expected
    assert DeviceConfig(device=given).device == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("cuda", "PyTorch's name of a device"),
        ("cuda:0", "PyTorch's name of a device"),
        ("mps", "PyTorch's name of a device"),
        (torch.device("cuda:1"), "PyTorch's name of a device"),
        ("0", "a number that PyTorch gives"),
        (0, "is no device's name"),
        (None, "is no device's name"),
        (["CPU"], "is no device's name"),
        (b"CPU", "is no device's name"),
        ("", "is empty"),
        ("  ", "is empty"),
    ],
)
def test_devices_of_others_get_one_hint(blob_model: Path, given: Any, words: str) -> None:
    for take in (kb.Detector, kb.Pipeline):
        with pytest.raises(ConfigError, match=f"^device: .*{words}") as caught:
            take(blob_model, device=given)
        assert "keepbusy devices" in (caught.value.hint or "")


def test_a_device_in_small_letters_detects(blob_model: Path) -> None:
    with kb.Detector(blob_model, "intel:cpu") as detector:
        assert detector.device == "CPU" and len(detector(square_picture()))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (640, (640, 640)),
        ((480, 640), (480, 640)),
        ([480, 640], (480, 640)),
        (np.int64(320), (320, 320)),
        (np.array([64, 96]), (64, 96)),
    ],
)
def test_sizes_that_are_taken(given: Any, expected: tuple[int, int]) -> None:
    assert DeviceConfig(imgsz=given).imgsz == expected
    assert all(type(side) is int for side in DeviceConfig(imgsz=given).imgsz or ())


@pytest.mark.parametrize(
    "given", ["640", b"640", 640.0, True, (640,), (1, 2, 3), (), {}, {480, 640}, ("480", "640"), (480.0, 640), object()]
)
def test_sizes_that_are_none_are_refused(given: Any) -> None:
    for name in ("imgsz", "shape"):
        if name == "shape" and isinstance(given, str):
            continue
        with pytest.raises(ConfigError, match=rf"^{name}: .* is no size") as caught:
            DeviceConfig(**{name: given})
        assert "pixels" in (caught.value.hint or "")


@pytest.mark.parametrize("given", [16, 10_000, (31, 64), -640])
def test_sizes_out_of_range_are_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"^imgsz: .* is out of range"):
        DeviceConfig(imgsz=given)


def test_a_model_is_a_file_or_the_folder_that_exporters_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "blob_openvino_model"
    folder.mkdir()
    path = build_blob_model(folder / "blob.xml")
    monkeypatch.chdir(tmp_path)
    for given in (path, str(path), folder, f"{folder}/", "blob_openvino_model", "blob", tmp_path / "blob"):
        for take in (kb.Detector, kb.Pipeline):
            with take(given) as made:
                assert made.model.path.name == "blob.xml"


@pytest.mark.parametrize(
    ("given", "error", "words", "hint"),
    [
        (None, ConfigError, "model: None is no path", "yolov5n.xml"),
        (3, ConfigError, "model: 3 is no path", "keepbusy models"),
        ("", ConfigError, "model: is empty", "yolov5n.xml"),
        (b"m.xml", ConfigError, "is no path", "yolov5n.xml"),
        (["m.xml"], ConfigError, "is no path", "yolov5n.xml"),
        (torch.nn.Conv2d(1, 1, 1), ConfigError, "model: Conv2d", "export it"),
        ("gone.xml", ModelError, "no such model file", "check the path"),
        ("yolo99z", ModelError, "neither a model file nor the name of a known model", "keepbusy models"),
        ("yolov5nn", ModelError, "neither a model file nor", "did you mean yolov5n"),
        ("yolov8n.pt", ModelError, "a model of PyTorch", "yolo export model=yolov8n.pt format=openvino"),
        ("model.engine", ModelError, "a model of TensorRT", "format=openvino"),
    ],
)
def test_what_is_no_model_gets_one_hint(given: Any, error: type[KeepbusyError], words: str, hint: str) -> None:
    for take in (kb.Detector, kb.Pipeline, lambda one: kb.detect_to(one, square_picture())):
        if take not in (kb.Detector, kb.Pipeline) and not given:
            continue
        with pytest.raises(error, match=words) as caught:
            take(given)
        assert hint in (caught.value.hint or "")


def test_a_model_of_openvino_is_told_to_be_saved(blob_model: Path) -> None:
    import openvino as ov

    with pytest.raises(ConfigError, match=r"^model: ") as caught:
        kb.Detector(ov.Core().read_model(blob_model))
    assert "save_model" in (caught.value.hint or "")


# Options.

WRONG_OPTIONS: list[tuple[str, Any, str]] = [
    *(("conf", value, "is no number") for value in (None, "0.5", True, [0.5], object(), np.zeros(2), float("nan"))),
    *(("conf", value, "out of range") for value in (-0.1, 1.01, 25)),
    ("iou", "high", "is no number"),
    ("max_det", 2.5, "is no whole number"),
    ("max_det", 0, "out of range"),
    ("max_det", None, "is no number"),
    ("agnostic_nms", "yes", "neither True nor False"),
    ("agnostic_nms", 1, "neither True nor False"),
    ("multi_label", None, "neither True nor False"),
    ("reduce_jpegs", "no", "neither True nor False"),
    ("fast_decode", 0, "neither True nor False"),
    ("max_pixels", "many", "is no number"),
    ("max_pixels", 1.5, "is no whole number"),
    ("device_timeout_s", None, "is no number"),
    ("read_threads", 1.5, "is no whole number"),
    ("preprocess_threads", "two", "is no number"),
    ("channel_frames", None, "is no number"),
    ("results_buffered", 0, "out of range"),
    ("nireq", 2.5, "is no whole number"),
    ("nireq", "2", "is no number"),
    ("nireq", True, "is no number"),
    ("nstreams", 1.5, "is no whole number"),
    ("threads", -1, "out of range"),
    ("mode", None, "is none of the choices"),
    ("mode", "fast", "is none of the choices"),
    ("mode", 3, "is none of the choices"),
    ("on_error", "ignore", "is none of the choices"),
    ("channels", "hsv", "is none of the choices"),
    ("channels", None, "is none of the choices"),
    ("hint", "speed", "is none of the choices"),
    ("precision", 16, "is none of the choices"),
    ("head", None, "is none of the choices"),
    ("family", "yolo", "is none of the choices"),
    ("task", ["detect"], "is none of the choices"),
    ("shape", "round", "is none of the choices"),
    ("shape", None, "is no size"),
    ("cache_dir", 3, "is no folder"),
    ("cache_dir", True, "is no folder"),
    ("region", "all", "is no polygon"),
    ("region", [(0, 0)], "is no polygon"),
    ("imgsz", "640", "is no size"),
    ("names", 3, "neither class names nor the file"),
    ("names", [], "neither class names nor the file"),
    ("names", b"names.txt", "neither class names nor the file"),
]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    WRONG_OPTIONS,
    ids=[f"{number} {name}" for number, (name, *_) in enumerate(WRONG_OPTIONS)],
)
def test_an_option_that_cannot_be_is_named(blob_model: Path, name: str, value: Any, words: str) -> None:
    for take in (kb.Detector, kb.Pipeline, lambda model, **options: kb.detect_to(model, square_picture(), **options)):
        with pytest.raises(ConfigError, match=rf"^{name}: .*{words}") as caught:
            take(blob_model, **{name: value})
        assert caught.value.hint, "what is taken"
        assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("loop", "yes", "neither True nor False"),
        ("loop", None, "neither True nor False"),
        ("limit", 0, "out of range"),
        ("limit", 1.5, "is no whole number"),
        ("limit", "ten", "is no number"),
        ("stride", None, "is no number"),
        ("stride", 0, "out of range"),
        ("stride", True, "is no number"),
    ],
)
def test_what_is_selected_of_a_source_is_checked(pipeline: kb.Pipeline, name: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}: .*{words}"):
        pipeline.run(square_picture(), **{name: value})
    with pytest.raises(ConfigError, match=rf"^{name}: .*{words}"):
        SelectConfig(**{name: value})


def test_settings_without_a_model_take_ids_only() -> None:
    assert DetectConfig(classes=np.array([2, 0])).classes == (2, 0)  # type: ignore[arg-type]
    wrong: list[Any] = [("person",), "person", 0, {0: 1}, (True,), (0.5,), ()]
    for classes in wrong:
        with pytest.raises(ConfigError, match=r"^classes: ") as caught:
            DetectConfig(classes=classes)
        assert caught.value.hint
    with pytest.raises(ConfigError, match="'person' is not a class id") as caught:
        DetectConfig(class_conf={"person": 0.5})  # type: ignore[dict-item]
    assert "Detector and Pipeline" in (caught.value.hint or "")
    with pytest.raises(ConfigError, match=r"^retry: 3 is no Retry"):
        OutletConfig(retry=3)  # type: ignore[arg-type]
    config = RunConfig()
    object.__setattr__(config, "mode", None)
    with pytest.raises(ConfigError, match="mode: None is none of the choices"):
        check_choice(config, "mode")


# Opening and writing.


@pytest.mark.parametrize("given", [None, True, 1.5, b"a.mp4", object(), [], ["a.mp4"], {}, square_picture(), Path])
def test_open_source_says_what_it_takes(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"^open_source: a source cannot be opened by ") as caught:
        kb.open_source(given)
    assert "Pipeline.run takes arrays" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source_id": None}, "source_id: None is no number"),
        ({"source_id": -1}, "source_id: -1 is out of range"),
        ({"read_ahead": "yes"}, "read_ahead: 'yes' is neither True nor False"),
        ({"read_threads": 0}, "read_threads: 0 is out of range"),
        ({"max_pixels": None}, "max_pixels: None is no number"),
        ({"fast_decode": 1}, "fast_decode: 1 is neither True nor False"),
    ],
)
def test_options_of_open_source_are_checked(clip: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        kb.open_source(clip, **options)


@pytest.mark.parametrize("given", ["", "gone.mp4", "-1", -1, 4000])
def test_a_source_that_is_not_there_is_an_error_of_the_source(given: Any) -> None:
    with pytest.raises(SourceError) as caught:
        kb.open_source(given)
    assert caught.value.hint


@pytest.mark.parametrize("given", [None, True, 1.5, 3, b"out.mp4", object(), [], ["out.mp4"], {}, kb.Sink])
def test_open_sink_says_what_it_takes(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"^sinks: a sink cannot be made of ") as caught:
        kb.open_sink(given)
    assert "out.jsonl" in (caught.value.hint or "")


@pytest.mark.parametrize("given", ["", "out.xyz", "unknown:out", "out.mp4?nonsense=1"])
def test_a_sink_that_cannot_be_is_refused(given: str) -> None:
    with pytest.raises(ConfigError) as caught:
        kb.open_sink(given)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": 3}, "^model: 3 is no path"),
        ({"model": object()}, "^model: "),
        ({"sources": 1.5}, "a source cannot be made of float"),
        ({"sources": None}, "a source cannot be made of NoneType"),
        ({"sinks": 3}, "a sink cannot be made of int"),
        ({"sinks": None}, "a sink cannot be made of NoneType"),
        ({"sinks": [None]}, "a sink cannot be made of NoneType"),
        ({"device": None}, "^device: None is no device's name"),
        ({"names": 3}, "^names: 3 is neither"),
        ({"select": "all"}, "^select: 'all' is no SelectConfig"),
        ({"select": 3}, "^select: 3 is no SelectConfig"),
        ({"profile": 3}, "^profile: 3 is no file's path"),
        ({"profile": ""}, "^profile: '' is no file's path"),
        ({"trace": True}, "^trace: True is no file's path"),
        ({"trace": b"t.json"}, "^trace: .* is no file's path"),
        ({"watch": object()}, "^watch: .* cannot look on"),
        ({"conf": "high"}, "^conf: 'high' is no number"),
        ({"nonsense": 1}, "unknown option: nonsense"),
    ],
)
def test_arguments_of_detect_to_are_checked(blob_model: Path, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        kb.detect_to(**{"model": blob_model, "sources": square_picture(), **arguments})
    assert caught.value.hint


def test_detect_to_takes_what_a_run_takes(blob_model: Path, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", square_picture())
    pictures = (square_picture() for _ in range(3))
    sources: list[Any] = [square_picture(), path.read_bytes(), PIL.Image.open(path), path, pictures]
    lines = tmp_path / "out.jsonl"
    report = kb.detect_to(blob_model, sources, lines, classes=["red"])
    assert report.numbers.num_frames == 7
    assert len(lines.read_text().splitlines()) == 7
    assert kb.detect_to(blob_model, write_video(tmp_path / "a.mp4", num_frames=3), []).numbers.num_frames == 3


def test_a_model_that_has_a_name_is_fetched_and_its_licence_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    page = ReleasePage(files={"/yolov5s.onnx": onnx_model(2000, seed=1)})
    with release_page(page):
        monkeypatch.setenv("KEEPBUSY_MODELS_URL", page.url)
        monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path))
        for take in (kb.Detector, kb.Pipeline):
            # It is no detector, which is said of the file that was fetched.
            with pytest.raises(ModelError, match=r"models.yolov5s\.onnx: "):
                take("YOLOv5s")
    assert [path for path, _ in page.requests] == ["/yolov5s.onnx"]
    assert caplog.text.count("yolov5s: the weights are under AGPL-3.0") == 1
