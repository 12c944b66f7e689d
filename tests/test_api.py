from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keepbusy as kb
from keepbusy.api import Detector, Pipeline
from keepbusy.device.engine import Request
from keepbusy.device.slots import Seat
from keepbusy.embedded import embedded_model
from keepbusy.errors import DeviceTimeoutError
from keepbusy.testing import ScriptedSource
from tests.build import square_picture


def boxes(result: kb.Result) -> bytes:
    found = result.detections
    return found.boxes_xyxy.tobytes() + found.confidence.tobytes() + found.class_id.tobytes()


def test_the_seven_lines(blob_model: Path, clip: Path) -> None:
    with kb.Pipeline(blob_model, device="CPU") as pipeline:
        results = list(pipeline.run(clip))
    assert [result.frame.index for result in results] == list(range(40))
    assert all(result.detections.name(0) == "red" for result in results)
    # The square moves one pixel a frame to the right, and so does what is found.
    centres = [float(result.detections.boxes_xyxy[0, [0, 2]].mean()) for result in results]
    assert centres[0] < 32 < centres[39] < 80


@pytest.mark.parametrize("nireq", [1, 2, 4, 7])
def test_async_at_any_depth_gives_the_bytes_of_sync(blob_model: Path, clip: Path, nireq: int) -> None:
    with kb.Pipeline(blob_model, mode="sync") as pipeline:
        plain = [boxes(result) for result in pipeline.run(clip)]
    with kb.Pipeline(blob_model, nireq=nireq) as pipeline:
        assert pipeline.num_slots == 0, "looking does not compile"
        with pytest.raises(kb.KeepbusyError, match="has not been compiled yet"):
            _ = pipeline.device
        assert [boxes(result) for result in pipeline.run(clip)] == plain
        assert pipeline.num_slots == nireq and pipeline.device.name == "CPU"


def test_one_pipeline_runs_again_after_the_end_and_after_a_close(blob_model: Path, clip: Path) -> None:
    with kb.Pipeline(blob_model) as pipeline:
        assert len(list(pipeline.run(clip))) == 40
        run = pipeline.run(clip, loop=True)
        assert next(run).frame.index == 0
        with pytest.raises(kb.KeepbusyError, match="still running"):
            pipeline.run(clip)
        run.close()
        assert len(list(pipeline.run(clip, stride=4, limit=5))) == 5
    with pytest.raises(kb.KeepbusyError, match="closed"):
        pipeline.run(clip)


def test_a_run_that_is_forgotten_frees_the_pipeline(blob_model: Path, clip: Path) -> None:
    with kb.Pipeline(blob_model) as pipeline:
        for _ in pipeline.run(clip, loop=True):
            break
        assert len(list(pipeline.run(clip))) == 40


def test_several_sources_share_the_model(blob_model: Path, clip: Path) -> None:
    with kb.Pipeline(blob_model) as pipeline:
        results = list(pipeline.run(clip, ScriptedSource(30, size_wh=(50, 40)), clip))
    for source_id, (name, count) in enumerate([(str(clip), 40), ("scripted", 30), (str(clip), 40)]):
        own = [result.frame for result in results if result.frame.source_id == source_id]
        assert [frame.index for frame in own] == list(range(count))
        assert {frame.source for frame in own} == {name}


def test_a_detector_for_single_pictures_from_any_thread(blob_model: Path, tmp_path: Path) -> None:
    detector = kb.Detector(blob_model)
    expected = detector(square_picture()).boxes_xyxy
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(detector(square_picture()).boxes_xyxy)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for one in found:
        np.testing.assert_array_equal(one, expected)
    with pytest.raises(kb.FrameError, match="cannot read the file"):
        detector(tmp_path / "gone.jpg")
    with pytest.raises(
        kb.FrameError,
        match=r"preprocess: image: frame 0: the picture must be uint8 \(H, W, 3\), and is float64 \(4, 4\)",
    ):
        detector(np.zeros((4, 4), np.float64))
    assert len(detector(square_picture())) == len(expected), "it goes on after an error"


def test_asyncio(blob_model: Path, clip: Path) -> None:
    async def main() -> tuple[list[int], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        with kb.Pipeline(blob_model) as pipeline:
            ticking = asyncio.create_task(tick())
            indices = [result.frame.index async for result in pipeline.stream(clip)]
            ticking.cancel()
            # Leaving early and cancelling both free the pipeline for the next run.
            stream = pipeline.stream(clip, loop=True)
            async for _ in stream:
                break
            assert stream.stats is not None
            was_finished = stream.stats.is_finished
            assert not was_finished
            await stream.close()
            assert stream.stats.is_finished
            async with pipeline.stream(clip, loop=True) as results:
                async for _ in results:
                    break

            async def watch() -> None:
                async for _ in pipeline.stream(clip, loop=True):
                    pass

            watching = asyncio.create_task(watch())
            await asyncio.sleep(0.1)
            watching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await watching
            with pytest.raises(kb.SourceError):
                async for _ in pipeline.stream("nowhere.mp4"):
                    pass
            assert len(list(pipeline.run(clip))) == 40
        return indices, ticks

    indices, ticks = asyncio.run(main())
    assert indices == list(range(40))
    assert ticks > 40, "the event loop was blocked while frames were awaited"


def test_supervision(blob_model: Path) -> None:
    detections = kb.Detector(blob_model)(square_picture())
    converted = detections.to_supervision()
    np.testing.assert_array_equal(converted.xyxy, detections.boxes_xyxy)
    assert converted.data["class_name"].tolist() == ["red"] * len(detections)
    assert len(kb.Detections.empty().to_supervision()) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"conf": 1.5}, "conf: 1.5 is out of range"),
        ({"nireq": 0}, "nireq: 0 is out of range"),
        ({"mode": "fast"}, "mode: 'fast' is none of the choices"),
        ({"mode": "sync", "nireq": 2}, "mode sync has one request"),
        ({"hint": "speed"}, "hint: 'speed'"),
        ({"treshold": 0.1}, "unknown option: treshold"),
        ({"classes": (3,)}, "3 is beyond the model's last class, 2"),
        ({"device_timeout_s": 0}, "device_timeout_s"),
    ],
)
def test_options_that_cannot_be(blob_model: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(kb.ConfigError, match=words) as caught:
        kb.Pipeline(blob_model, **options)  # type: ignore[arg-type]
    assert caught.value.hint or "device_timeout" in words


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ({"class_conf": {"rad": 0.5}}, "class_conf: the model has no class 'rad'", "did you mean 'red'"),
        ({"class_conf": {True: 0.5}}, "class_conf: True is neither a class's name nor its id", "give a threshold"),
        ({"class_conf": ["red"]}, r"class_conf: \['red'\] names no thresholds", 'by its name or id: {"person": 0.5}'),
        ({"class_conf": 0.5}, "class_conf: 0.5 names no thresholds", "give a threshold for each class"),
        ({"class_conf": lambda names: 0.5}, "class_conf: 0.5 names no thresholds", "give a threshold for each class"),
        ({"class_conf": {"red": "high"}}, "class_conf of class 0: 'high' is no number", "give a number"),
        ({"class_conf": {"red": 2}}, "class_conf of class 0: 2 is out of range", "from 0.0 to 1.0"),
        ({"classes": ("person",)}, "classes: the model has no class 'person'", "its 3 classes are red, green, blue"),
        ({"classes": "red, green"}, "classes: the model has no class 'red, green'", r"classes=\['red', 'green'\]"),
        ({"classes": "0,2"}, "classes: the model has no class '0,2'", r"classes=\[0, 2\]"),
        ({"classes": "grean"}, "classes: the model has no class 'grean'", "did you mean 'green'"),
        ({"classes": ["red", True]}, "classes: True is neither a class's name nor its id", "give names or ids"),
        ({"classes": 0.5}, "classes: 0.5 is no sequence of classes", "give names or ids"),
        ({"classes": {"red": 1}}, "classes: {'red': 1} is no sequence of classes", "give names or ids"),
        ({"classes": []}, "classes: is empty", "None for all classes"),
        ({"classes": (-1,)}, "classes: -1 is out of range", "counted from 0"),
        ({"classes": lambda names: object()}, "classes: <object object", "give names or ids"),
        ({"device": None}, "device: None is no device's name", "keepbusy devices"),
        ({"device": 0}, "device: 0 is no device's name", "keepbusy devices"),
        ({"names": 3}, "names: 3 is neither class names nor the file", "give names"),
        ({"names": {0: "red"}}, "names: {0: 'red'} is neither", "give names"),
        ({"names": (1, 2, 3)}, r"names: \(1, 2, 3\) is neither", "give names"),
    ],
)
@pytest.mark.parametrize("kind", [kb.Pipeline, kb.Detector])
def test_slips_are_told_what_is_taken(
    kind: type[kb.Pipeline] | type[kb.Detector], blob_model: Path, options: dict[str, object], words: str, hint: str
) -> None:
    with pytest.raises(kb.ConfigError, match=rf"^{words}") as caught:
        kind(blob_model, **options)  # type: ignore[arg-type]
    assert re.search(hint, caught.value.hint or "")


@pytest.mark.parametrize("model", [None, 3, b"yolov5n.xml", ["yolov5n.xml"]], ids=repr)
@pytest.mark.parametrize("kind", [kb.Pipeline, kb.Detector])
def test_what_is_no_model_is_told_what_is_taken(kind: type[kb.Pipeline] | type[kb.Detector], model: Any) -> None:
    with pytest.raises(kb.ConfigError, match=r"^model: .* is no path") as caught:
        kind(model)
    assert "yolov5n.xml" in (caught.value.hint or "")


class Elsewhere:
    """A path that is no `Path`."""

    def __init__(self, path: str | bytes) -> None:
        self.path = path

    def __fspath__(self) -> str | bytes:
        return self.path


@pytest.mark.parametrize("source", [None, True, 1.5, {}, object(), [None], Elsewhere(b"a.mp4")])
def test_what_is_no_source_is_told_what_is_taken(blob_model: Path, source: Any) -> None:
    async def awaited() -> None:
        async for _ in pipeline.stream(source):
            pass

    with kb.Pipeline(blob_model) as pipeline:
        for call in (pipeline.run, pipeline.plan, lambda one: asyncio.run(awaited())):
            with pytest.raises(kb.ConfigError, match="a source cannot be made of") as caught:
                call(source)
            assert "give a path" in (caught.value.hint or "")


def test_slips_in_calls_are_told_what_is_taken(blob_model: Path, clip: Path) -> None:
    with kb.Pipeline(blob_model) as pipeline:
        nothings: tuple[Any, ...] = ([], ((), []))
        for nothing in nothings:
            with pytest.raises(kb.ConfigError, match="run: no source given"):
                pipeline.run(nothing)
        for classes in (0.5, "person", ("rot",), (True,), (3,), ()):
            with pytest.raises(kb.ConfigError, match=r"^classes: ") as caught:
                pipeline.set_classes(classes)  # type: ignore[arg-type]
            assert caught.value.hint
        rights: tuple[Any, ...] = ((0,), "red", ["red", 1], None, (0,))
        for right in rights:
            pipeline.set_classes(right)
        pipeline.plan(Elsewhere(str(clip)))  # type: ignore[arg-type]
        assert len(list(pipeline.run(Elsewhere(str(clip))))) == 40  # type: ignore[arg-type]
    with pytest.raises(kb.ConfigError, match="a picture cannot be made of NoneType"):
        kb.Detector(blob_model)(None)  # type: ignore[call-overload]


def test_a_device_that_is_not_there(blob_model: Path) -> None:
    for name in ("GPU.7", "TPU", "AUTO:GPU.7", "HETERO:GPU.7,CPU"):
        with pytest.raises(kb.DeviceError, match="there is no") as caught:
            kb.Pipeline(blob_model, device=name)
        assert "CPU" in (caught.value.hint or "")
    for name in ("AUTO:CPU", "AUTO:GPU.7,CPU"):  # A list given to AUTO is a wish.
        pipeline = kb.Pipeline(blob_model, device=name)
        pipeline.plan()
        assert pipeline.device.optimal_requests > 0


def test_a_program_that_ends_with_a_run_still_open_ends(blob_model: Path, clip: Path) -> None:
    program = (
        f"import keepbusy as kb; p = kb.Pipeline({str(blob_model)!r}); r = p.run({str(clip)!r}, loop=True); next(r)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kind", [kb.Pipeline, kb.Detector])
def test_a_class_that_the_model_lacks_is_an_error_that_names_the_classes(
    blob_model: Path, kind: type[kb.Pipeline] | type[kb.Detector]
) -> None:
    names = ("red", "green", "blue")
    for wrong in ({"classes": (0, 3)}, {"class_conf": {2: 0.1, 3: 0.5}}, {"class_conf": lambda _: {3: 0.5}}):
        with pytest.raises(kb.ConfigError, match=f"^{next(iter(wrong))}: 3 is beyond") as caught:
            kind(blob_model, names=names, **wrong)
        assert caught.value.hint is not None and "red, green, blue" in caught.value.hint
    kind(blob_model, names=names, classes=(2,), class_conf={2: 0.5})


def test_thresholds_by_names_are_those_by_ids(blob_model: Path) -> None:
    picture = square_picture()
    # Blue, and surer than the red.
    picture = np.where(picture == 255, 150, picture).astype(np.uint8)
    picture[16:48, 60:92] = (250, 0, 0)
    plain, by_id, by_name, none = (
        kb.Detector(blob_model, names=("red", "green", "blue"), class_conf=given)
        for given in (None, {0: 0.9}, lambda names: {names.index("red"): 0.9}, lambda _: None)
    )
    everything, expected, found = plain(picture), by_id(picture), by_name(picture)
    assert 0 < len(expected) < len(everything)
    assert found.boxes_xyxy.tobytes() == expected.boxes_xyxy.tobytes()
    assert len(none(picture)) == len(everything)
    with pytest.raises(ValueError):
        kb.Detector(blob_model, class_conf=lambda names: {names.index("cow"): 0.5})


class Hanging:
    """A request in place of another, whose inference never ends, whatever is done."""

    latency_ns = 0
    outputs: tuple[np.ndarray, ...] = ()

    def __init__(self, request: Request) -> None:
        self.input = request.input

    def start(self) -> None:
        pass

    def wait(self, timeout_s: float) -> bool:
        return False

    def cancel(self) -> None:
        pass


def test_a_slot_that_hangs_is_replaced_for_the_next_run_and_the_next_picture(
    blob_model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepbusy.flow.run.CANCEL_TIMEOUT_S", 0.05)
    with Pipeline(blob_model, nireq=3, device_timeout_s=0.1, shape=(64, 96)) as pipeline:
        right = [result.detections.boxes_xyxy.tolist() for result in pipeline.run(clip)]
        slot = pipeline._slots.all[1]
        slot.seat = slot._seats[slot.request.input.shape[:2]] = Seat(Hanging(slot.request), slot.seat.letterboxer)
        with pytest.raises(DeviceTimeoutError):
            list(pipeline.run(clip))
        assert slot.is_lost
        assert [result.detections.boxes_xyxy.tolist() for result in pipeline.run(clip)] == right
        assert pipeline.num_slots == 3 and slot not in pipeline._slots.all

    detector = Detector(blob_model, device_timeout_s=0.1)
    picture = np.full((64, 96, 3), (0, 0, 255), np.uint8)
    wanted = detector(picture).boxes_xyxy.tolist()
    (own,) = detector._calls.places.slots
    own.seat = own._seats[own.request.input.shape[:2]] = Seat(Hanging(own.request), own.seat.letterboxer)
    with pytest.raises(DeviceTimeoutError):
        detector(picture)
    assert detector(picture).boxes_xyxy.tolist() == wanted
    assert own.is_lost and own not in detector._calls.places.slots


def test_what_was_planned_is_not_compiled_for_another_shape_where_no_size_is_known() -> None:
    picture = np.zeros((360, 640, 3), np.uint8)
    with kb.Pipeline(embedded_model(), head="tail") as pipeline:
        pipeline.plan(picture)
        assert pipeline.shapes == [(384, 640)]
        assert len(list(pipeline.run(iter([picture, picture])))) == 2
        assert pipeline.shapes == [(384, 640)]
        with pipeline.start() as run:
            run.end()
            assert list(run) == [] and pipeline.shapes == [(384, 640)]
        # A size that nobody has told of has its own shape all the same.
        assert len(list(pipeline.run(iter([np.zeros((640, 360, 3), np.uint8)])))) == 1
        assert set(pipeline.shapes) == {(384, 640), (640, 384)}
