"""Families with one output a stride: heads before decoding."""

from __future__ import annotations

from keepbusy.models.outputs.graph import numbers_from
from keepbusy.models.outputs.tasks import Impossible, split_rest
from keepbusy.models.outputs.view import Port, View
from keepbusy.values.forms import OutputForm

AnchorsPx = tuple[tuple[tuple[float, float], ...], ...]

YOLOV5_PX: AnchorsPx = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
"""YOLOv5's anchors at strides 8, 16, 32 (yolov5n to yolov5x); YOLOv7-tiny has the same."""

YOLOV5_P6_PX: AnchorsPx = (
    ((19, 27), (44, 40), (38, 94)),
    ((96, 68), (86, 152), (180, 137)),
    ((140, 301), (303, 264), (238, 542)),
    ((436, 615), (739, 380), (925, 792)),
)
"""YOLOv5's anchors at strides 8 to 64 (yolov5n6 to yolov5x6); YOLOv7-W6 and larger have the same."""

YOLOV7_PX: AnchorsPx = (
    ((12, 16), (19, 36), (40, 28)),
    ((36, 75), (76, 55), (72, 146)),
    ((142, 110), (192, 243), (459, 401)),
)
"""YOLOv7's anchors at strides 8, 16, 32 (yolov7, yolov7x)."""


def anchor_heads(view: View) -> OutputForm | None:
    """YOLOv5 and YOLOv7 before decoding: [1, 3, h, w, 5+classes] or [1, 3 x (5+classes), h, w] for each stride."""
    heads = _heads(view)
    if [stride for stride, _ in heads] not in ([8, 16, 32], [8, 16, 32, 64]):
        return None
    widths = {_width(port) for _, port in heads}
    if len(widths) != 1 or (width := widths.pop()) is None or width < 6:
        return None
    if view.family is None and _is_yolov8(view, heads[0][1]):
        return None
    split = split_rest(view, width - 5, may_turn=False)
    strides = tuple(stride for stride, _ in heads)
    anchors_px, why, doubt = _choose_anchors(view, len(strides))
    ports = [port for _, port in heads] + ([split.prototypes] if split.prototypes else [])
    return OutputForm(
        "yolov5-raw",
        split.task,
        tuple(port.index for port in ports),
        split.num_classes,
        split.num_coefficients,
        split.keypoints,
        anchors_px=anchors_px,
        strides_px=strides,
        is_logits=numbers_from(heads[0][1].node) != "Sigmoid",
        why=f"heads of three anchors at strides {', '.join(map(str, strides))}; {why}",
        doubt="; ".join(part for part in (doubt, split.doubt) if part),
    )


def _heads(view: View) -> list[tuple[int, Port]]:
    """Outputs that are one stride's grid, by stride."""
    found: list[tuple[int, Port]] = []
    prototypes = view.prototypes()
    for port in view.ports:
        if port is prototypes or not port.is_float or port.shape[:1] not in ((1,), (None,)):
            continue
        grid = port.shape[2:4]
        if len(port.shape) not in (4, 5) or None in grid or 0 in grid:
            continue
        strides = {side // (cells or 1) for side, cells in zip(view.input_hw, grid, strict=True)}
        if len(strides) == 1:
            found.append((strides.pop(), port))
    return sorted(found, key=lambda item: item[0])


def _width(port: Port) -> int | None:
    """How many numbers an anchor has; None where the port has not three anchors."""
    if len(port.shape) == 5:
        return port.shape[4] if port.shape[1] == 3 else None
    channels = port.shape[1]
    return channels // 3 if channels is not None and channels % 3 == 0 else None


def _is_yolov8(view: View, port: Port) -> bool:
    """Whether a convolution's channels are 64 for the box's distribution and one a class, as in YOLOv8's heads."""
    channels = port.shape[1]
    if len(port.shape) == 5 or channels is None:
        return False
    num_names = view.words.num_names
    return channels == 64 + (num_names or 80) and channels != 3 * (5 + num_names)


def _choose_anchors(view: View, num_heads: int) -> tuple[AnchorsPx, str, str]:
    """The anchors, why, and the doubt."""
    own = view.words.anchors_px
    if len(own) == num_heads and all(len(head) == 3 for head in own):
        return own, "anchors from its metadata", ""
    if num_heads == 4:
        return YOLOV5_P6_PX, "YOLOv5's anchors", "anchors are not in the export: YOLOv5's for four strides are taken"
    if num_heads != 3:
        raise Impossible(f"anchors are known for three and four strides, not for {num_heads}")
    if "yolov7" in view.words.kind and "tiny" not in view.words.kind:
        return YOLOV7_PX, "YOLOv7's anchors", "anchors are not in the export: YOLOv7's are taken for the model's name"
    doubt = "anchors are not in the export: YOLOv5's are taken, and YOLOv7's differ (for those name the file yolov7...)"
    return YOLOV5_PX, "YOLOv5's anchors", doubt
