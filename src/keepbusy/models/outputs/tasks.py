"""What a row has behind its box: classes only, or mask coefficients, keypoints, an angle."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from keepbusy.models.outputs.view import Port, View
from keepbusy.values.forms import Task

POSE_NUMBERS = 17 * 3
"""COCO's keypoints of a person, which nearly all pose models have."""


NAMES_DOUBT = "its metadata names"
"""How `OutputForm.doubt` begins where nothing but the number of class names is doubtful."""


class Impossible(Exception):  # noqa: N818 - never leaves the package: it becomes the error that says which file
    """A family or task that the outputs do not allow; the text says why."""


@dataclass(frozen=True, slots=True)
class Split:
    """What the numbers behind a row's box are.

    Attributes:
        task: What they say.
        num_classes: How many classes come first.
        num_coefficients: Then this many mask coefficients,
        keypoints: or keypoints (how many, numbers each).
        prototypes: The output with the masks' prototypes.
        why: How it is known.
        doubt: What else it could be.
    """

    task: Task
    num_classes: int
    num_coefficients: int = 0
    keypoints: tuple[int, int] = (0, 0)
    prototypes: Port | None = None
    why: str = ""
    doubt: str = ""


def split_rest(
    view: View, rest: int, parts: tuple[int, ...] = (), *, has_angle: bool = False, may_turn: bool = True
) -> Split:
    """Tell classes from what the task adds.

    The user's word decides; then the model's metadata, unless the graph contradicts them; then how the graph puts its
    rows together; then the number of class names; then what is usual.

    Args:
        view: The graph.
        rest: How many numbers follow the box (and the objectness).
        parts: The widths of the parts that they are put together from, () where that is not known.
        has_angle: The graph computes sines before this output, as rotated boxes need.
        may_turn: The family has models with rotated boxes.

    Raises:
        Impossible: The task that was named does not fit.
    """
    words = view.words
    said = view.said_task
    prototypes = view.prototypes()
    if view.task is None and said is not None and _is_contrary(view, said, rest, parts, prototypes, has_angle):
        said = None
    reason = "the user says so" if view.task else "its metadata says so"
    if said == "segment" or (said is None and prototypes is not None and (prototypes.shape[1] or 0) < rest):
        return _check_names(view, _segment(rest, prototypes, reason if said else "it has prototypes of masks"))
    if said == "pose":
        return _check_names(view, _pose(view, rest, parts, reason))
    if said == "obb":
        _need(may_turn, "this family has no rotated boxes")
        _need(rest >= 2, "rotated boxes need a class and an angle behind the box")
        _need(
            has_angle or not view.task or _may_be_behind(view, rest, parts, 1), "nothing behind its classes is an angle"
        )
        return _check_names(view, Split("obb", rest - 1, why=reason))
    if said == "classify":
        raise Impossible("its rows are boxes, not classes of the whole picture")
    if said == "detect":
        # Who asks for boxes only of a model that says more gets them: what is behind the classes is passed over.
        over = sum(parts[1:]) or (prototypes.shape[1] if prototypes is not None else 0) or 0
        over = over if over < rest else 0
        return _check_names(view, Split("detect", rest - over, over, why=reason))
    extra = sum(parts[1:])
    if parts and extra:
        if extra == 1:
            return _check_names(view, Split("obb", rest - 1, why="its graph adds one number to the classes, the angle"))
        if extra % 3 == 0 or extra % 2 == 0:
            return _check_names(view, _keypoints_of(rest - extra, extra, "its graph adds keypoints to the classes"))
    if parts:
        return _check_names(view, Split("detect", rest, why="its graph has nothing behind the classes"))
    if has_angle:
        return _check_names(view, Split("obb", rest - 1, why="its graph computes sines, as rotated boxes need"))
    if words.num_names and rest > words.num_names:
        return _by_names(view, rest, may_turn)
    if not words.num_names and rest == 1 + POSE_NUMBERS:
        why = f"{rest} numbers behind the box are one class and 17 keypoints"
        doubt = f"it could be {rest} classes: then say `task` detect"
        return Split("pose", 1, keypoints=(17, 3), why=why, doubt=doubt)
    return _check_names(view, Split("detect", rest))


def _is_contrary(
    view: View, said: Task, rest: int, parts: tuple[int, ...], prototypes: Port | None, has_angle: bool
) -> bool:
    """Whether the graph shows that the task in its metadata is another one than its own.

    A graph that only lacks what the task needs (masks without their prototypes) does not.
    """
    if said == "classify":
        return True
    if prototypes is not None and (prototypes.shape[1] or rest) < rest:
        return said != "segment"
    extra = sum(parts[1:]) if parts else 0
    if not parts and view.words.num_names != rest:
        return False
    if extra == 0:
        return said != "detect" and not (said == "obb" and has_angle)
    if said == "detect":
        return (extra == 1 and has_angle) or has_keypoints(view, extra)
    return extra != 1 if said == "obb" else said == "pose" and extra == 1


def has_keypoints(view: View, extra: int) -> bool:
    """Whether so many numbers are the keypoints that the metadata tells of, or COCO's."""
    num_points, num_values = view.words.keypoints
    return extra == (num_points * num_values or POSE_NUMBERS)


def _segment(rest: int, prototypes: Port | None, why: str) -> Split:
    if prototypes is None or prototypes.shape[1] is None:
        raise Impossible("masks need a second output [1, coefficients, height/4, width/4], and there is none")
    num_classes = rest - prototypes.shape[1]
    _need(num_classes >= 1, f"{prototypes.shape[1]} prototypes of masks do not fit into {rest} numbers behind the box")
    return Split("segment", num_classes, prototypes.shape[1], prototypes=prototypes, why=why)


def _pose(view: View, rest: int, parts: tuple[int, ...], why: str) -> Split:
    num_points, num_values = view.words.keypoints
    if num_points and sum(parts[1:]) in (0, num_points * num_values):
        num_classes = rest - num_points * num_values
        _need(num_classes >= 1, f"{num_points} keypoints of {num_values} do not fit into {rest} numbers")
        return Split("pose", num_classes, keypoints=(num_points, num_values), why=why)
    _need(not view.task or _may_be_behind(view, rest, parts, None), "its graph has nothing behind the classes")
    num_classes = rest - sum(parts[1:]) if len(parts) > 1 else (view.words.num_names or 1)
    extra = rest - num_classes
    _need(extra >= 2 and (extra % 3 == 0 or extra % 2 == 0), f"{extra} numbers behind the classes are no keypoints")
    return _keypoints_of(num_classes, extra, why)


def _may_be_behind(view: View, rest: int, parts: tuple[int, ...], num_wanted: int | None) -> bool:
    """Whether something can lie behind the classes: so many numbers, or any; neither graph nor names contradict."""
    if parts:
        extra = sum(parts[1:])
        return extra > 0 if num_wanted is None else extra == num_wanted
    return view.words.num_names != rest


def _keypoints_of(num_classes: int, extra: int, why: str) -> Split:
    num_values = 3 if extra % 3 == 0 else 2
    doubt = "" if extra % 6 else f"{extra} numbers could also be {extra // 2} keypoints without visibility"
    return Split("pose", num_classes, keypoints=(extra // num_values, num_values), why=why, doubt=doubt)


def _by_names(view: View, rest: int, may_turn: bool) -> Split:
    """More numbers than class names, and no other word."""
    num_names = view.words.num_names
    extra = rest - num_names
    num_points, num_values = view.words.keypoints
    if num_points * num_values == extra:
        return Split("pose", num_names, keypoints=(num_points, num_values), why="its metadata tells of keypoints")
    rival = f"it could be {rest} classes, though it names {num_names}: then say `task` detect"
    if extra == 1 and may_turn:
        return Split("obb", num_names, why="one number more than class names, the angle", doubt=rival)
    if extra == POSE_NUMBERS or (num_names == 1 and extra % 3 == 0):
        split = _keypoints_of(num_names, extra, f"{extra} numbers more than class names, keypoints")
        return Split(split.task, num_names, keypoints=split.keypoints, why=split.why, doubt=rival)
    return _check_names(view, Split("detect", rest))


def names_doubt(view: View, num_classes: int) -> str:
    """What to say where the model names another number of classes than its shape has."""
    num_names = view.words.num_names
    if num_names in (0, num_classes):
        return ""
    return f"{NAMES_DOUBT} {num_names} classes, its shape has {num_classes}"


def _check_names(view: View, split: Split) -> Split:
    return dataclasses.replace(split, doubt=split.doubt or names_doubt(view, split.num_classes))


def _need(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Impossible(otherwise)
