"""Results, frames and runs in one line, and results as pictures and records."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import keepbusy as kb
from keepbusy.config import Mode
from keepbusy.testing import ScriptedDevice, ScriptedSource, scripted_run

NAMES = ("person", "bus")


def found(num: int = 2, **more: Any) -> kb.Detections:
    boxes = np.array([[20, 30, 60, 90], [80, 10, 150, 110]], np.float32)[:num]
    confidence, class_id = np.array([0.9, 0.5], np.float32)[:num], np.array([0, 1])[:num]
    return kb.Detections(boxes, confidence, class_id, NAMES, **{"frame_hw": (120, 160), **more})


def picture() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


def result(detections: kb.Detections | None = None, source: str = "street.mp4") -> kb.Result:
    frame = kb.Frame(picture(), 12, 0.48, 0, source)
    return kb.Result(frame, found() if detections is None else detections, kb.Timings())


def failed(*, has_picture: bool, reason: str = "cannot be decoded") -> kb.Result:
    error = kb.FrameError(reason, stage="read", source="street.mp4", frame_index=3)
    frame = kb.Frame(picture() if has_picture else None, 3, 0.12, 0, "street.mp4")
    return kb.Result(frame, kb.Detections.empty(), kb.Timings(), error)


LINES: list[tuple[object, str]] = [
    (result(), "Result(street.mp4, frame 12 at 0.480 s, 160x120; 2: 1 person 0.90, 1 bus 0.50)"),
    (result(found(0)), "Result(street.mp4, frame 12 at 0.480 s, 160x120; 0)"),
    (failed(has_picture=False), "Result(street.mp4, frame 3 at 0.120 s; read: cannot be decoded)"),
    (failed(has_picture=True), "Result(street.mp4, frame 3 at 0.120 s, 160x120; read: cannot be decoded)"),
    (result().frame, "Frame(street.mp4, frame 12 at 0.480 s, 160x120)"),
    (result(source="/data/clips/street.mp4").frame, "Frame(street.mp4, frame 12 at 0.480 s, 160x120)"),
    (
        result(source="rtsp://admin:secret@door/live").frame,
        "Frame(rtsp://admin:***@door/live, frame 12 at 0.480 s, 160x120)",
    ),
    (result(source="two\nlines.mp4").frame, r"Frame(two\nlines.mp4, frame 12 at 0.480 s, 160x120)"),
]


@pytest.mark.parametrize(("value", "line"), LINES, ids=[line for _, line in LINES])
def test_results_and_frames_are_one_line(value: object, line: str) -> None:
    assert repr(value) == line


def test_long_errors_and_names_do_not_make_long_lines() -> None:
    assert len(repr(failed(has_picture=False, reason="x" * 5000))) < 400
    assert len(repr(result(source="x" * 5000))) < 400


def test_a_line_makes_no_picture() -> None:
    class Unread:
        shape_hw = (720, 1280)

        @property
        def image(self) -> Any:
            raise AssertionError("nobody has asked for pixels")

    frame = kb.Frame(Unread(), 0, 0.0, 0, "street.mp4")
    assert repr(kb.Result(frame, found(), kb.Timings())).startswith("Result(street.mp4, frame 0 at 0.000 s, 1280x720; ")


def test_a_plot_is_of_the_own_frame_and_leaves_it_as_it_is() -> None:
    one = result()
    np.testing.assert_array_equal(one.plot(), found().plot(picture()))
    np.testing.assert_array_equal(
        one.plot(labels=False, line_width=5), found().plot(picture(), labels=False, line_width=5)
    )
    np.testing.assert_array_equal(one.plot(conf=False), found().plot(picture(), conf=False))
    assert one.frame.image is not None
    np.testing.assert_array_equal(one.frame.image, picture())


def test_crops_are_of_the_own_frame() -> None:
    for own, expected in zip(result().crops(), found().crops(picture()), strict=True):
        np.testing.assert_array_equal(own, expected)


def test_a_result_is_saved_and_not_over_another_file(tmp_path: Path) -> None:
    place = result().save(tmp_path / "new" / "out.png", line_width=3, labels=False)
    np.testing.assert_array_equal(cv2.imread(str(place)), result().plot(line_width=3, labels=False))
    before = place.read_bytes()
    with pytest.raises(kb.SinkError, match="exists already"):
        result().save(place)
    assert place.read_bytes() == before
    result().save(place, exist_ok=True)
    np.testing.assert_array_equal(cv2.imread(str(place)), result().plot())


def test_a_frame_that_failed_behind_its_reading_has_a_picture_and_nothing_on_it() -> None:
    one = failed(has_picture=True)
    np.testing.assert_array_equal(one.plot(), picture())
    assert one.crops() == []


@pytest.mark.parametrize("name", ["plot", "crops", "save"])
def test_without_a_picture_the_error_says_why(name: str, tmp_path: Path) -> None:
    one = failed(has_picture=False)
    arguments = (tmp_path / "out.jpg",) if name == "save" else ()
    with pytest.raises(kb.KeepbusyError) as caught:
        getattr(one, name)(*arguments)
    assert caught.value.message == f"{name}: street.mp4: frame 3 has no picture, it could not be read"
    assert caught.value.__cause__ is one.error and "`error`" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_a_result_as_plain_values() -> None:
    content = result().to_dict()
    assert {word: content[word] for word in ("source", "index", "timestamp_s", "width", "height")} == {
        "source": "street.mp4",
        "index": 12,
        "timestamp_s": 0.48,
        "width": 160,
        "height": 120,
    }
    assert content["detections"] == found().to_dict()["detections"]
    assert result().to_dict("door")["stream"] == "door" and json.loads(json.dumps(content)) == content
    error = failed(has_picture=False).to_dict()
    assert error["error"] == {"stage": "read", "message": "cannot be decoded"} and "detections" not in error


def shown_in_a_notebook(one: kb.Result) -> np.ndarray[Any, np.dtype[np.int64]]:
    content = one._repr_jpeg_()
    assert content is not None and content[:3] == b"\xff\xd8\xff"
    shown = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    return shown.astype(np.int64)


def test_notebooks_show_a_result_as_its_picture() -> None:
    smooth = kb.Result(kb.Frame(np.full((120, 160, 3), 90, np.uint8), 0, 0.0, 0, "a.jpg"), found(), kb.Timings())
    shown = shown_in_a_notebook(smooth)
    assert shown.shape == (120, 160, 3)
    assert np.abs(shown - smooth.plot()).mean() < 5 < np.abs(shown - 90).mean()
    assert failed(has_picture=False)._repr_jpeg_() is None


@pytest.mark.parametrize(
    ("size_hw", "shown_hw"), [((1600, 3), (1600, 3)), ((90, 3200), (45, 1600)), ((1, 70000), (1, 1600))]
)
def test_notebooks_show_large_pictures_smaller(size_hw: tuple[int, int], shown_hw: tuple[int, int]) -> None:
    frame = kb.Frame(np.full((*size_hw, 3), 90, np.uint8), 0, 0.0, 0, "a.jpg")
    shown = shown_in_a_notebook(kb.Result(frame, kb.Detections.empty(), kb.Timings()))
    assert shown.shape == (*shown_hw, 3) and np.abs(shown - 90).max() <= 1


def test_results_can_be_copied_and_sent() -> None:
    for one in (result(), failed(has_picture=False)):
        twin = pickle.loads(pickle.dumps(one))
        assert repr(copy.copy(one)) == repr(twin) == repr(one) and twin.to_dict() == one.to_dict()


WORDS = {
    "boxes": "`detections.boxes_xyxy`",
    "xyxy": "`detections.boxes_xyxy`",
    "masks": "`detections.masks`",
    "probs": "`detections.probabilities`",
    "names": "`detections.names`",
    "orig_img": "`frame.image`",
    "path": "`frame.source`",
    "speed": "`timings`",
    "show": "`plot()`",
    "to_supervision": "`detections.to_supervision()`",
    "to_json": "`detections.to_json()`",
    "save_crop": "`crops()`",
}


@pytest.mark.parametrize(("word", "ours"), WORDS.items())
def test_words_of_others_are_answered_with_ours(word: str, ours: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(result(), word)
    text = str(caught.value)
    assert text.startswith(f"'Result' object has no attribute '{word}': here it is ") and ours in text


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_run_says_what_its_streams_do(mode: Mode) -> None:
    kind = {"async": "AsyncRun", "sync": "SyncRun"}[mode]
    config = kb.RunConfig(mode=mode)
    with scripted_run([ScriptedSource(3)], ScriptedDevice(), config) as run:
        name = next(iter(run.streams.values())).name
        assert len(list(run)) == 3
        assert repr(run) == f"{kind}(1 stream: {name} ended; 3 results)"
    with scripted_run(None, ScriptedDevice(), config) as run:
        assert repr(run) == f"{kind}(0 streams; 0 results)"
        for number in range(5):
            run.add(ScriptedSource(2), kb.StreamConfig(name=f"door {number}"))
        run.end()
        assert len(list(run)) == 10
        assert repr(run) == f"{kind}(5 streams: door 0 ended, door 1 ended, door 2 ended, 2 more; 10 results)"
