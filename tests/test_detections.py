"""Detections can be chosen from as arrays can."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepbusy.values.detections import Detections
from keepbusy.values.masks import Masks


def found(number: int) -> Detections:
    """As many detections as one wants, with all that they can have, each with numbers of its own."""
    rng = np.random.default_rng(number)
    boxes = np.sort(rng.uniform(0, 60, (number, 2, 2)).astype(np.float32), axis=1).reshape(number, 4)
    masks = Masks(
        tuple(rng.normal(size=(9, 9)).astype(np.float32) for _ in range(number)),
        np.zeros((number, 2), np.int32),
        (8.0, 8.0),
        (0.0, 0.0),
        boxes,
        (64, 64),
    )
    return Detections(
        boxes,
        np.linspace(1, 0.5, number, dtype=np.float32),
        np.arange(number, dtype=np.int64) % 3,
        ("a", "b", "c"),
        masks,
        rng.uniform(0, 1, (number, 4, 3)).astype(np.float32),
        rng.uniform(0, 1, (number, 5)).astype(np.float32),
        track_id=np.arange(100, 100 + number, dtype=np.int64),
        frame_hw=(64, 64),
    )


def same(one: Detections, other: Detections, indices: list[int]) -> None:
    """That one has those of the other that the numbers say."""
    assert len(one) == len(indices)
    for name in ("boxes_xyxy", "confidence", "class_id", "keypoints", "boxes_xywhr", "track_id"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name)[np.array(indices, int)])
        assert getattr(one, name).dtype == getattr(other, name).dtype
    assert one.masks is not None and other.masks is not None and len(one.masks) == len(indices)
    whole = other.masks.to_array()
    np.testing.assert_array_equal(one.masks.to_array(), whole[np.array(indices, int)])
    assert one.names == other.names and one.frame_hw == other.frame_hw == (64, 64)
    assert type(one) is Detections


CHOICES: list[tuple[Any, list[int]]] = [
    (0, [0]),
    (-1, [4]),
    (np.int64(2), [2]),
    (slice(1, 3), [1, 2]),
    (slice(None, None, -1), [4, 3, 2, 1, 0]),
    ([3, 0, 3], [3, 0, 3]),
    ([], []),
    (np.array([], np.int64), []),
    (np.array([True, False, False, True, False]), [0, 3]),
    (np.zeros(5, bool), []),
]


@pytest.mark.parametrize(("chosen", "indices"), CHOICES)
def test_some_of_them(chosen: Any, indices: list[int]) -> None:
    every = found(5)
    same(every[chosen], every, indices)


@given(st.lists(st.integers(-7, 6), max_size=10))
def test_they_are_taken_in_the_order_that_is_asked_for(indices: list[int]) -> None:
    every = found(7)
    same(every.take(indices), every, indices)


def test_they_come_one_by_one() -> None:
    every = found(3)
    for index, one in enumerate(every):
        same(one, every, [index])


def test_what_was_chosen_can_be_changed_and_the_rest_stays() -> None:
    every = found(3)
    before = every.boxes_xyxy.copy()
    every[:2].boxes_xyxy[:] = 0
    np.testing.assert_array_equal(every.boxes_xyxy, before)


@pytest.mark.parametrize("chosen", [5, -6, [0, 5], np.array([True])])
def test_beyond_the_last_one_there_is_none(chosen: Any) -> None:
    with pytest.raises(IndexError):
        found(5)[chosen]


@pytest.mark.parametrize(
    "chosen",
    [True, np.True_, np.array(False), None, "0", 0.5, [0.0, 1.0], [None], [[0, 1]], np.zeros((5, 1), bool), object()],
)
def test_what_chooses_nothing_is_refused_and_says_what_is_taken(chosen: Any) -> None:
    with pytest.raises(TypeError, match="chosen by a number, a slice, numbers, or one bool for each, not by "):
        found(5)[chosen]


@pytest.mark.parametrize("indices", [True, 1, [True, False], np.zeros(5, bool), [0.5], [[0, 1]], None])
def test_only_numbers_are_taken(indices: Any) -> None:
    with pytest.raises(TypeError, match="take: a sequence of numbers is expected, not "):
        found(5).take(indices)


def test_of_nothing_nothing_is_left() -> None:
    empty = Detections.empty(("a",))
    assert len(empty[:]) == len(empty[np.zeros(0, bool)]) == len(empty.take([])) == 0
    assert list(empty) == []
