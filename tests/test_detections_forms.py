"""Boxes in other forms, and detections chosen by class and confidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import keepbusy as kb
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess.to_detections import to_detections
from keepbusy.values.forms import OutputForm

NAMES = ("person", "bus", "dog", "person")


def found(**more: Any) -> kb.Detections:
    boxes = np.array([[10, 20, 30, 60], [0, 0, 200, 100], [50.5, 10.25, 51, 10.5], [199, 99, 200, 100]], np.float32)
    confidence = np.array([0.9, 0.75, 0.5, 0.25], np.float32)
    return kb.Detections(boxes, confidence, np.array([0, 1, 2, 3]), **{"names": NAMES, "frame_hw": (100, 200), **more})


def test_boxes_as_centre_and_size() -> None:
    boxes = found().boxes_xywh
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(
        boxes, [[20, 40, 20, 40], [100, 50, 200, 100], [50.75, 10.375, 0.5, 0.25], [199.5, 99.5, 1, 1]]
    )


def test_boxes_as_shares_of_the_frame() -> None:
    one = found()[0]
    assert one.boxes_xyxyn.dtype == one.boxes_xywhn.dtype == np.float32
    np.testing.assert_allclose(one.boxes_xyxyn, [[0.05, 0.2, 0.15, 0.6]], rtol=1e-6)
    np.testing.assert_allclose(one.boxes_xywhn, [[0.1, 0.4, 0.1, 0.4]], rtol=1e-6)
    np.testing.assert_array_equal(found()[1].boxes_xyxyn, [[0, 0, 1, 1]])


def test_other_forms_share_no_memory_with_the_boxes() -> None:
    every = found()
    for name in ("boxes_xywh", "boxes_xyxyn", "boxes_xywhn"):
        assert not np.shares_memory(getattr(every, name), every.boxes_xyxy)


def test_of_nothing_there_are_no_boxes_in_any_form() -> None:
    empty = kb.Detections.empty(NAMES, frame_hw=(48, 64))
    for name in ("boxes_xywh", "boxes_xyxyn", "boxes_xywhn"):
        assert getattr(empty, name).shape == (0, 4) and getattr(empty, name).dtype == np.float32


@pytest.mark.parametrize("name", ["boxes_xyxyn", "boxes_xywhn"])
def test_shares_need_the_size_of_the_frame(name: str) -> None:
    with pytest.raises(kb.ConfigError, match=f"^{name}: the size of the frame is not known") as caught:
        getattr(found(frame_hw=None), name)
    assert "frame_hw=(height, width)" in (caught.value.hint or "")


CHOSEN: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [0, 1, 2, 3]),
    ({"classes": "bus"}, [1]),
    ({"classes": "person"}, [0, 3]),  # Two classes have that name.
    ({"classes": 0}, [0]),
    ({"classes": np.int64(3)}, [3]),
    ({"classes": ["dog", 1]}, [1, 2]),
    ({"classes": ("dog", "dog", 2)}, [2]),
    ({"classes": {"dog"}}, [2]),
    ({"classes": (name for name in ("bus", "dog"))}, [1, 2]),
    ({"classes": np.array([0, 3])}, [0, 3]),
    ({"classes": []}, []),
    ({"conf": 0.5}, [0, 1, 2]),
    ({"conf": 0.9}, [0]),  # The float32 nearest to 0.9 is below it.
    ({"conf": 0}, [0, 1, 2, 3]),
    ({"conf": 1}, []),
    ({"conf": np.float32(0.75)}, [0, 1]),
    ({"classes": "person", "conf": 0.5}, [0]),
]


@pytest.mark.parametrize(("asked", "indices"), CHOSEN)
def test_detections_of_some_classes_and_of_some_confidence(asked: dict[str, Any], indices: list[int]) -> None:
    every = found(track_id=np.arange(4))
    chosen = every.where(**asked)
    assert type(chosen) is kb.Detections and chosen.frame_hw == (100, 200) and chosen.names == NAMES
    np.testing.assert_array_equal(chosen.track_id, indices)
    np.testing.assert_array_equal(chosen.boxes_xyxy, every.boxes_xyxy[indices])


@given(st.sets(st.integers(0, 3)), st.floats(0, 1, width=32))
def test_what_is_chosen_and_what_is_not_are_all(classes: set[int], conf: float) -> None:
    every = found(track_id=np.arange(4))
    chosen = every.where(classes=classes, conf=conf)
    expected = [i for i in range(4) if i in classes and every.confidence[i] >= np.float32(conf)]
    assert chosen.track_id is not None and chosen.track_id.tolist() == expected


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"classes": "preson"}, "classes: the model has no class 'preson'", "did you mean 'person'?"),
    ({"classes": "Bus"}, "classes: the model has no class 'Bus'", "did you mean 'bus'?"),
    ({"classes": ["bus", "zebra"]}, "classes: the model has no class 'zebra'", "it has person, bus, dog, person"),
    ({"classes": "0"}, "classes: the model has no class '0'", "an id is a number: classes=[0]"),
    ({"classes": "person,bus"}, "classes: the model has no class 'person,bus'", "a list: classes=['person', 'bus']"),
    ({"classes": ["0, 2"]}, "classes: the model has no class '0, 2'", "a list: classes=[0, 2]"),
    ({"classes": 4}, "classes: 4 is no class id", "give 0 to 3"),
    ({"classes": -1}, "classes: -1 is no class id", "give 0 to 3"),
    ({"classes": 1.0}, "classes: 1.0 is no class", "give names or ids"),
    ({"classes": True}, "classes: True is no class", "give names or ids"),
    ({"classes": [None]}, "classes: None is no class", "give names or ids"),
    ({"classes": b"bus"}, "classes: b'bus' is no class", "give names or ids"),
    ({"conf": 1.5}, "conf: 1.5 is out of range", "from 0 to 1"),
    ({"conf": 50}, "conf: 50 is out of range", "from 0 to 1"),
    ({"conf": "0.5"}, "conf: '0.5' is no number", "not text"),
    ({"conf": float("nan")}, "conf: nan is no number", "from 0 to 1"),
]


@pytest.mark.parametrize(("asked", "message", "hint"), REFUSED)
def test_what_cannot_be_chosen_is_refused_and_says_what_can(asked: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(kb.ConfigError) as caught:
        found().where(**asked)
    assert caught.value.message == message and hint in (caught.value.hint or "")


def test_without_names_classes_are_chosen_by_their_ids() -> None:
    nameless = found(names=())
    assert len(nameless.where(classes=[0, 99])) == 1
    with pytest.raises(kb.ConfigError) as caught:
        nameless.where(classes="person")
    assert caught.value.hint == "its classes have no names: give ids, such as classes=[0, 2]"
    with pytest.raises(kb.ConfigError, match="-1 is no class id"):
        nameless.where(classes=-1)


TASKS: list[tuple[OutputForm, int]] = [
    (OutputForm("yolov8", "detect", (0,), 3), 0),
    (OutputForm("yolov8", "pose", (0,), 3, keypoints=(5, 3)), 15),
    (OutputForm("yolov8", "obb", (0,), 3), 1),
    (OutputForm("yolov8", "segment", (0, 1), 3, num_coefficients=4), 4),
]


@pytest.mark.parametrize(("form", "num_extra"), TASKS, ids=[form.task for form, _ in TASKS])
@pytest.mark.parametrize("num_rows", [0, 40])
def test_every_task_tells_the_size_of_its_frame(form: OutputForm, num_extra: int, num_rows: int) -> None:
    rng = np.random.default_rng(0)
    output = np.zeros((1, 7 + num_extra, 84), np.float32)
    output[0, :4, :num_rows] = rng.uniform(10, 50, (4, num_rows))
    output[0, 4:, :num_rows] = rng.uniform(0.1, 0.9, (3 + num_extra, num_rows))
    prototypes = rng.normal(size=(1, 4, 16, 16)).astype(np.float32)
    letterbox = Letterbox.fit((90, 160), (64, 64))
    every = to_detections((output, prototypes), letterbox, form, kb.DetectConfig(), ("a", "b", "c"))
    assert every.frame_hw == (90, 160) and bool(len(every)) == bool(num_rows)
    assert ((every.boxes_xyxyn >= 0) & (every.boxes_xyxyn <= 1)).all()


def test_a_classification_tells_the_size_of_its_frame_too() -> None:
    form = OutputForm("yolov8", "classify", (0,), 3)
    scores = np.array([[0.25, 0.5, 0.25]], np.float32)
    every = to_detections((scores,), Letterbox.fit((90, 160), (64, 64)), form, kb.DetectConfig(), ("a", "b", "c"))
    assert every.frame_hw == (90, 160) and every.top(1) == [(1, 0.5)] and len(every.where(conf=0.1)) == 0
