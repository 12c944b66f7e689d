"""Families with one output of rows: anchors, cells, or a few selected ones."""

from __future__ import annotations

from keepbusy.models.outputs.graph import numbers_from, row_parts, tail_types
from keepbusy.models.outputs.tasks import POSE_NUMBERS, Impossible, Split, has_keypoints, names_doubt, split_rest
from keepbusy.models.outputs.view import STRIDES_PX, Port, View
from keepbusy.values.forms import Family, OutputForm

MAX_SELECTED = 1000
"""Models that select their rows keep 100 to 300 of them; more than this is something else."""


def anchors(view: View) -> OutputForm | None:
    """YOLOv5 and YOLOv7: three anchors a cell, [1, anchors, 5+classes]."""
    for port in _rows(view):
        for strides in STRIDES_PX[:2]:
            count = view.num_cells(strides)
            width = port.shape[2]
            if count is not None and port.shape[1] == 3 * count and width is not None and width >= 6:
                _refuse_split(view, 3 * count)
                split = split_rest(view, width - 5, may_turn=False)
                return _form(
                    "yolov5",
                    port,
                    split,
                    f"{3 * count} rows are three anchors a cell at strides {_list(strides)}",
                )
    return None


def cells(view: View) -> OutputForm | None:
    """YOLOv8 and its relatives, [1, 4+classes, cells] or with swapped axes, and YOLOX, [1, cells, 5+classes]."""
    for port in _rows(view):
        for strides in STRIDES_PX:
            count = view.num_cells(strides)
            if count is None or count not in port.shape[1:]:
                continue
            place = f"{count} cells at strides {_list(strides)}"
            width = port.shape[1] if port.shape[2] == count else port.shape[2]
            if width is None or width < 5:
                continue
            _refuse_split(view, count)
            if port.shape[2] == count and view.family not in ("yolox", "yolox-raw"):
                return _yolov8(view, port, width, f"{place}, one column each")
            if port.shape[1] == count:
                return _cell_rows(view, port, width, strides, f"{place}, one row each")
    return None


def _refuse_split(view: View, num_rows: int) -> None:
    """Refuse boxes and scores in outputs of their own: scores alone look like rows with a box in them.

    Raises:
        Impossible: They are apart.
    """
    for port in _rows(view):
        if num_rows in port.shape[1:] and any(size is not None and size < 5 for size in port.shape[1:]):
            raise Impossible("boxes and scores of its cells are outputs of their own")


def _yolov8(view: View, port: Port, width: int, why: str) -> OutputForm:
    parts = row_parts(port.node, width)
    behind_box = parts[1:] if parts and parts[0] == 4 else ()
    split = split_rest(view, width - 4, behind_box, has_angle="Sin" in tail_types(port.node))
    return _form("yolov8", port, split, why)


def _cell_rows(view: View, port: Port, width: int, strides: tuple[int, ...], why: str) -> OutputForm:
    """Rows of cells: YOLOX has an objectness, decoded or not; YOLOv8 with swapped axes has none."""
    if view.family == "yolov8":
        return _yolov8(view, port, width, why)
    if view.family in ("yolox", "yolox-raw"):
        return _yolox(view, port, width, strides, view.family, why, "")
    parts, tail, num_names = row_parts(port.node, width), tail_types(port.node), view.words.num_names
    is_decoded = "Exp" in tail
    has_objectness = parts[:2] == (4, 1) and len(parts) > 2
    if is_decoded or has_objectness or "yolox" in view.words.kind:
        family: Family = "yolox" if is_decoded else "yolox-raw"
        reason = "its graph has the decoding's exponential" if is_decoded else "its graph has no exponential"
        doubt = "" if is_decoded or has_objectness else "it could be decoded in another way: then say `family` yolox"
        return _yolox(view, port, width, strides, family, f"{why}; {reason}", doubt)
    if len(parts) > 1 or num_names == width - 4:
        reason = "box and classes only" if len(parts) > 1 else "its names leave no objectness"
        return _yolov8(view, port, width, f"{why}; {reason}")
    doubt = (
        f"it could be decoded (`family` yolox), or YOLOv8 with swapped axes and {width - 4} classes (`family` yolov8)"
    )
    return _yolox(view, port, width, strides, "yolox-raw", why, doubt)


def _yolox(
    view: View, port: Port, width: int, strides: tuple[int, ...], family: Family, why: str, doubt: str
) -> OutputForm:
    if width < 6:
        raise Impossible(f"YOLOX has at least 6 numbers a row, not {width}")
    if view.task not in (None, "detect"):
        raise Impossible("YOLOX only detects boxes")
    doubt = doubt or names_doubt(view, width - 5)
    return OutputForm(family, "detect", (port.index,), width - 5, strides_px=strides, why=why, doubt=doubt)


def selected(view: View) -> OutputForm | None:
    """Rows that the model has selected itself: YOLOv10 and relatives, RT-DETR's rows, or DETR's queries."""
    for port in _rows(view):
        num_rows, width = port.shape[1:]
        if width is None or width < 5 or (num_rows or 0) > MAX_SELECTED:
            continue
        if _has_a_column_per_cell(view, width):
            raise Impossible(f"{width} columns are the cells of the input, not the numbers of a selected row")
        parts = row_parts(port.node, width)
        is_detr = "detr" in view.words.kind
        is_normalized = numbers_from(port.node) == "Sigmoid" or is_detr
        is_row = parts[:3] == (4, 1, 1)
        if view.family == "detr" or (view.family is None and _is_query(view, parts, width, is_normalized)):
            return _queries(view, port, width)
        if view.family == "rt-detr" or (view.family is None and width == 6 and is_normalized):
            if width != 6:
                raise Impossible(f"RT-DETR's rows have 6 numbers, not {width}")
            why = "rows of box, score and class; " + _why_normalized(is_detr)
            doubt = "" if is_row or is_detr else "it could be DETR with 2 classes: then say `family` detr"
            return _selected("rt-detr", view, port, Split("detect", 0), why, doubt, is_normalized=True)
        if view.family in (None, "yolov10") and width >= 6:
            if view.family is None and not (is_row or view.said_task or _is_usual(view, width)):
                continue
            split = _split_selected(view, width, parts)
            doubt = "" if is_row or view.family or view.said_task else _rival(width, split)
            count = "some" if num_rows is None else str(num_rows)
            return _selected("yolov10", view, port, split, f"{count} rows of box, confidence and class", doubt)
    return None


def _has_a_column_per_cell(view: View, width: int) -> bool:
    return width in [view.num_cells(strides) for strides in STRIDES_PX]


def _is_query(view: View, parts: tuple[int, ...], width: int, is_normalized: bool) -> bool:
    """Whether a row has a score for each class instead of one class."""
    if len(parts) == 2 and parts[0] == 4:
        return is_normalized
    return not parts and width != 6 and (is_normalized or view.words.num_names == width - 4)


def _is_usual(view: View, width: int) -> bool:
    num_points, num_values = view.words.keypoints
    return width in (6, 7, 6 + POSE_NUMBERS) or view.prototypes() is not None or width == 6 + num_points * num_values


def _split_selected(view: View, width: int, parts: tuple[int, ...]) -> Split:
    """The task of selected rows: as for others, with the confidence and the class in place of the classes."""
    said, extra = view.said_task, width - 6
    num_points, num_values = view.words.keypoints
    prototypes = view.prototypes()
    if view.task is None and _is_contrary(view, extra, prototypes):
        said = None
    if said == "segment" or (said is None and prototypes is not None and prototypes.shape[1] == extra):
        if prototypes is None or prototypes.shape[1] != extra:
            raise Impossible(f"masks need a second output [1, {extra}, height/4, width/4], and there is none")
        return Split("segment", 0, extra, prototypes=prototypes)
    if said == "obb" or (said is None and extra == 1):
        if extra != 1:
            raise Impossible(f"rotated boxes have rows of 7 numbers, not {width}")
        return Split("obb", 0)
    if said == "pose" or (said is None and extra >= 6):
        if num_points * num_values != extra:
            num_points, num_values = (extra // 3, 3) if extra % 3 == 0 else (extra // 2, 2)
        if not extra or num_points * num_values != extra:
            raise Impossible(f"{extra} numbers behind the class are no keypoints")
        return Split("pose", 0, keypoints=(num_points, num_values))
    if said == "classify":
        raise Impossible("its rows are boxes, not classes of the whole picture")
    if extra and said is None:
        raise Impossible(f"rows of boxes have 6 numbers, not {width}")
    # Who asks for boxes only of a model that says more gets them.
    return Split("detect", 0, extra)


def _is_contrary(view: View, extra: int, prototypes: Port | None) -> bool:
    """Whether selected rows show that the task in the metadata is another one than theirs: see `split_rest`."""
    said = view.said_task
    if extra and prototypes is not None and prototypes.shape[1] == extra:
        return said != "segment"
    if extra <= 1:
        return said == "classify" or said in {0: ("segment", "pose", "obb"), 1: ("segment", "pose")}[extra]
    return said == "classify" or (said in ("detect", "obb") and has_keypoints(view, extra))


def _rival(width: int, split: Split) -> str:
    what = {"obb": "a rotated box's angle", "pose": "keypoints"}.get(split.task)
    told = f"the numbers behind the class are taken for {what}; " if what else ""
    return f"{told}it could be DETR with {width - 4} classes: then say `family` detr"


def _selected(
    family: Family, view: View, port: Port, split: Split, why: str, doubt: str, *, is_normalized: bool = False
) -> OutputForm:
    """A form whose shape does not tell the number of classes: the names do."""
    if view.task not in (None, split.task):
        raise Impossible(f"its rows say {split.task}")
    num_classes, told = count_by_names(view)
    outputs = (port.index,) if split.prototypes is None else (port.index, split.prototypes.index)
    return OutputForm(
        family,
        split.task,
        outputs,
        num_classes,
        split.num_coefficients,
        split.keypoints,
        is_normalized=is_normalized,
        names_decide=True,
        why=why,
        doubt="; ".join(part for part in (doubt, told) if part),
    )


def count_by_names(view: View) -> tuple[int, str]:
    """The number of classes where no shape tells it, and what is doubtful about that."""
    if view.words.num_names:
        return view.words.num_names, ""
    return 80, "nothing tells how many classes it has: COCO's 80 are assumed (`names=` says others)"


def _queries(view: View, port: Port, width: int) -> OutputForm:
    if view.task not in (None, "detect"):
        raise Impossible("DETR only detects boxes")
    if width < 5:
        raise Impossible(f"DETR has at least 5 numbers a query, not {width}")
    return OutputForm(
        "detr",
        "detect",
        (port.index,),
        width - 4,
        is_normalized=True,
        is_logits=numbers_from(port.node, last=True) not in ("Sigmoid", "Softmax"),
        why=f"{port.shape[1]} rows of a box and {width - 4} class scores",
        doubt=names_doubt(view, width - 4),
    )


def _why_normalized(is_said: bool) -> str:
    return "its name or metadata says DETR" if is_said else "its boxes come out of a sigmoid"


def _form(family: Family, port: Port, split: Split, why: str) -> OutputForm:
    outputs = (port.index,) if split.prototypes is None else (port.index, split.prototypes.index)
    return OutputForm(
        family,
        split.task,
        outputs,
        split.num_classes,
        split.num_coefficients,
        split.keypoints,
        why=f"{why}; {split.task}: {split.why}" if split.why else why,
        doubt=split.doubt,
    )


def _rows(view: View) -> list[Port]:
    """Outputs [1, a, b] of floating-point numbers."""
    return [port for port in view.ports if len(port.shape) == 3 and port.shape[0] in (1, None) and port.is_float]


def _list(strides: tuple[int, ...]) -> str:
    return f"{', '.join(str(stride) for stride in strides[:-1])} and {strides[-1]}"
