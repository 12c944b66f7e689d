"""Detections in one line, and words of other libraries answered with ours."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest

import keepbusy as kb
from keepbusy.values.foreign_words import OF_DETECTIONS, OF_RESULT
from keepbusy.values.masks import Masks

NAMES = ("person", "bus", "dog")


def boxes_of(
    class_ids: list[int], confidence: list[float], names: tuple[str, ...] = NAMES, **more: Any
) -> kb.Detections:
    boxes = np.tile(np.array([[1, 2, 11, 22]], np.float32), (len(class_ids), 1))
    return kb.Detections(boxes, np.array(confidence, np.float32), np.array(class_ids, np.int64), names, **more)


def classified(shares: list[float], names: tuple[str, ...] = NAMES) -> kb.Detections:
    return boxes_of([], [], names, probabilities=np.array(shares, np.float32))


MANY = tuple(f"kind {number}" for number in range(9))

LINES: list[tuple[kb.Detections, str]] = [
    (kb.Detections.empty(), "Detections(0)"),
    (kb.Detections.empty(NAMES), "Detections(0)"),
    (boxes_of([0, 1, 0, 0, 0], [0.89, 0.87, 0.6, 0.5, 0.36]), "Detections(5: 4 person 0.36-0.89, 1 bus 0.87)"),
    (boxes_of([2], [0.5]), "Detections(1: 1 dog 0.50)"),
    # As many of each: by the class id. Confidences that look the same are one number.
    (boxes_of([1, 0, 1, 0], [0.901, 0.9, 0.899, 0.4]), "Detections(4: 2 person 0.40-0.90, 2 bus 0.90)"),
    (boxes_of([0, 7], [0.5, 0.4], ()), "Detections(2: 1 class 0 0.50, 1 class 7 0.40)"),
    (boxes_of([0, -1], [0.5, 0.4]), "Detections(2: 1 class -1 0.40, 1 person 0.50)"),
    (
        boxes_of(list(range(9)), [0.5] * 9, MANY),
        "Detections(9: 1 kind 0 0.50, 1 kind 1 0.50, 1 kind 2 0.50, 1 kind 3 0.50, 1 kind 4 0.50, 1 kind 5 0.50, "
        "3 more classes)",
    ),
    (boxes_of([0], [0.5], ("two\nlines\x1b[31m",)), r"Detections(1: 1 two\nlines\x1b[31m 0.50)"),
    (classified([0.05, 0.93, 0.02]), "Detections(bus 0.93, person 0.05, dog 0.02)"),
    (classified([0.3, 0.7], ("a", "b")), "Detections(b 0.70, a 0.30)"),
]


@pytest.mark.parametrize(("found", "line"), LINES, ids=[line for _, line in LINES])
def test_what_was_found_is_one_line(found: kb.Detections, line: str) -> None:
    assert repr(found) == str(found) == line


def test_seven_classes_are_six_and_one_more() -> None:
    assert repr(boxes_of(list(range(7)), [0.5] * 7, MANY)).endswith("1 kind 5 0.50, 1 more class)")


def test_long_names_do_not_make_long_lines() -> None:
    assert len(repr(boxes_of([0, 1], [0.5, 0.5], ("x" * 1000, "y\n" * 1000)))) < 200


def test_masks_say_how_many_they_are() -> None:
    masks = Masks((), np.zeros((0, 2), np.int32), (8.0, 8.0), (0.0, 0.0), np.zeros((0, 4), np.float32), (720, 1280))
    assert repr(masks) == "Masks(0 of a frame of 1280x720)"


WORDS = {
    "boxes": "`boxes_xyxy`",
    "xyxy": "`boxes_xyxy`",
    "xywh": "`boxes_xywh`",
    "xyxyn": "`boxes_xyxyn`",
    "xywhn": "`boxes_xywhn`",
    "conf": "`confidence`",
    "cls": "`class_id`",
    "class_name": "`name(index)`",
    "tracker_id": "`track_id`",
    "mask": "`masks`",
    "probs": "`probabilities`",
    "show": "`plot(image)`",
    "orig_shape": "`frame_hw`",
    "tojson": "`to_json()`",
    "to_df": "`to_pandas()`",
}


@pytest.mark.parametrize(("word", "ours"), WORDS.items())
def test_words_of_others_are_answered_with_ours(word: str, ours: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(kb.Detections.empty(), word)
    text = str(caught.value)
    assert text.startswith(f"'Detections' object has no attribute '{word}': here it is ") and ours in text
    assert "\n" not in text and caught.value.name == word


PLACES: dict[str, Any] = {
    "result": kb.Result,
    "keepbusy": kb,
    "detections": kb.Detections,
    "frame": kb.Frame,
    "timings": kb.Timings,
    "masks": Masks,
}


def is_there(path: str, owner: Any) -> bool:
    """Whether `frame.image` and the like are attributes of a kind."""
    *places, last = path.split(".")
    for place in places:
        owner = PLACES[place]
    return hasattr(owner, last)


@pytest.mark.parametrize(("kind", "words"), [(kb.Detections, OF_DETECTIONS), (kb.Result, OF_RESULT)])
def test_no_word_hides_one_of_ours_and_each_answer_names_what_is_there(kind: Any, words: dict[str, str]) -> None:
    assert [word for word in words if hasattr(kind, word)] == []
    named = {path for ours in words.values() for path in re.findall(r"`([a-z_.]+)[`( ]", ours)}
    elsewhere = {"iou", "len", "repr", "json.dumps"}
    assert [path for path in named - elsewhere if not is_there(path, kind)] == []


def test_what_is_not_there_at_all_is_said_as_python_says_it() -> None:
    found = kb.Detections.empty()
    with pytest.raises(AttributeError, match=r"^'Detections' object has no attribute 'nonsense'$"):
        found.nonsense  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(found, "conf") and getattr(found, "conf", 1) == 1


def test_detections_can_be_copied_and_pickled() -> None:
    found = boxes_of([0, 1], [0.5, 0.25], frame_hw=(48, 64))
    for twin in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert type(twin) is kb.Detections and repr(twin) == repr(found) and twin.frame_hw == (48, 64)
        np.testing.assert_array_equal(twin.boxes_xyxy, found.boxes_xyxy)


def test_detections_cannot_be_changed() -> None:
    found = kb.Detections.empty()
    with pytest.raises(AttributeError):
        found.confidence = np.zeros(0, np.float32)  # type: ignore[misc]
