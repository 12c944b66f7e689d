"""Families told by the number of their outputs, or by the layer that makes them."""

from __future__ import annotations

from keepbusy.models.outputs.graph import numbers_from, source_of, tail_types
from keepbusy.models.outputs.rows import MAX_SELECTED, count_by_names
from keepbusy.models.outputs.tasks import Impossible, names_doubt
from keepbusy.models.outputs.view import STRIDES_PX, Port, View
from keepbusy.values.forms import OutputForm

COCO_WITH_NO_OBJECT = (92, 81)
"""Scores of DETR for COCO's 91 ids, or its 80 classes, with "no object" behind them."""


def ssd(view: View) -> OutputForm | None:
    """OpenVINO's DetectionOutput, [1, 1, N, 7]."""
    for port in view.ports:
        if len(port.shape) == 4 and port.shape[3] == 7 and port.shape[1] == 1:
            _only_detects(view, "SSD")
            num_names, (num_labels, has_background) = view.words.num_names, _labels(port)
            if num_labels:
                # Names that count the background too are indexed by the model's own class ids.
                has_background = has_background and num_names != num_labels
                num_classes, doubt = num_labels - has_background, ""
                doubt = names_doubt(view, num_classes)
            else:
                num_classes, doubt = count_by_names(view)
            return OutputForm(
                "ssd",
                "detect",
                (port.index,),
                num_classes,
                is_normalized=True,
                has_background=has_background,
                names_decide=num_labels == 0,
                why="rows of picture, class, confidence and corners, as DetectionOutput has them",
                doubt=doubt,
            )
    return None


def _labels(port: Port) -> tuple[int, bool]:
    """How many class ids a DetectionOutput knows, and whether its first one is the background; (0, False): unknown."""
    node = source_of(port.node)
    if node.get_type_name() != "DetectionOutput":
        return 0, False
    scores, priors = (node.input_value(index).get_partial_shape() for index in (1, 2))
    if scores.is_dynamic or priors.is_dynamic:
        return 0, False
    attributes = node.get_attributes()
    num_priors = int(priors[2].get_length()) // (4 if attributes.get("normalized", True) else 5)
    num_labels = int(scores[1].get_length()) // max(1, num_priors)
    return num_labels, int(attributes.get("background_label_id", -1)) == 0


def suppressed_rows(view: View) -> OutputForm | None:
    """YOLOv7 with its suppression inside, [N, 7]."""
    for port in view.ports:
        if len(port.shape) == 2 and port.shape[1] == 7 and port.is_float:
            if view.family is None and port.shape[0] == 1 and "NonMaxSuppression" not in tail_types(port.node):
                continue
            _only_detects(view, "YOLOv7 with NMS")
            num_classes, doubt = count_by_names(view)
            why = "rows of picture, corners, class and confidence"
            return OutputForm(
                "yolov7-nms", "detect", (port.index,), num_classes, names_decide=True, why=why, doubt=doubt
            )
    return None


def lists(view: View) -> OutputForm | None:
    """RT-DETR and D-FINE with their post-processing: labels [1, N], boxes [1, N, 4], scores [1, N]."""
    flat = [port for port in view.ports if len(port.shape) == 2 and port.shape[0] in (1, None)]
    boxes = [port for port in view.ports if len(port.shape) == 3 and port.shape[2] in (4, 5) and port.is_float]
    if len(boxes) != 1 or len(flat) not in (1, 2) or boxes[0].shape[2] != (5 if len(flat) == 1 else 4):
        return None
    if len(view.ports) != len(flat) + 1:
        # TensorFlow's detectors have such outputs among others, with another order of corners.
        return None
    scores = [port for port in flat if port.has_name("score", "conf")] or [port for port in flat if port.is_float]
    labels = [port for port in flat if port.has_name("label", "class")] or [port for port in flat if not port.is_float]
    if len(labels) != 1 or (len(flat) == 2 and (len(scores) != 1 or scores == labels)):
        return None
    _only_detects(view, "RT-DETR")
    num_classes, doubt = count_by_names(view)
    ports = (labels[0], boxes[0], *(scores if len(flat) == 2 else ()))
    return OutputForm(
        "rt-detr",
        "detect",
        tuple(port.index for port in ports),
        num_classes,
        is_normalized=numbers_from(boxes[0].node) == "Sigmoid",
        names_decide=True,
        why="labels, boxes and scores in outputs of their own",
        doubt=doubt,
    )


def boxes_and_scores(view: View) -> OutputForm | None:
    """DETR: boxes [1, N, 4], and class scores [1, N, classes] as probabilities or logits."""
    pair = [port for port in view.ports if len(port.shape) == 3 and port.is_float and port.shape[0] in (1, None)]
    boxes = [port for port in pair if port.shape[2] == 4]
    if len(boxes) > 1:
        boxes = [port for port in boxes if port.has_name("box", "dets")]
    if len(pair) != 2 or len(boxes) != 1:
        return None
    scores = next(port for port in pair if port is not boxes[0])
    num_rows, width = scores.shape[1:]
    if width is None or num_rows != boxes[0].shape[1] or (num_rows or 0) > MAX_SELECTED:
        return None
    if view.family is None and num_rows in [view.num_cells(strides) for strides in STRIDES_PX]:
        return None
    _only_detects(view, "DETR")
    source = numbers_from(scores.node)
    has_no_object, doubt = _has_no_object(view, scores, width, source)
    num_classes = width - has_no_object
    kind = {"Sigmoid": "probabilities", "Softmax": "probabilities"}.get(source, "logits")
    return OutputForm(
        "detr",
        "detect",
        (boxes[0].index, scores.index),
        num_classes,
        is_normalized=True,
        has_background=has_no_object,
        is_logits=kind == "logits",
        is_imagenet=has_no_object or scores.has_name("labels"),
        why=f"{num_rows} boxes, and {kind} of {num_classes} classes{' and no object' if has_no_object else ''}",
        doubt=doubt,
    )


def _has_no_object(view: View, scores: Port, width: int, source: str) -> tuple[bool, str]:
    """Whether the last class means that there is nothing (DETR), and what is doubtful about that."""
    num_names = view.words.num_names
    if num_names in (width, width - 1) and num_names:
        return num_names == width - 1, ""
    if source == "Softmax":
        return True, names_doubt(view, width - 1)
    if source == "Sigmoid" or scores.has_name("labels"):
        return False, names_doubt(view, width)
    if width in COCO_WITH_NO_OBJECT:
        return True, 'its last class is taken for "no object" (DETR); RT-DETR has none: give metadata with its names'
    return False, names_doubt(view, width) or 'each score is a class of its own (RT-DETR); DETR has a last "no object"'


def classes(view: View) -> OutputForm | None:
    """A classifier, [1, classes]."""
    if len(view.ports) != 1 or view.task not in (None, "classify"):
        return None
    port = view.ports[0]
    if port.shape[:1] not in ((1,), (None,)) or not port.is_float:
        return None
    sizes = [size for size in port.shape[1:] if size != 1]
    if len(port.shape) not in (2, 4) or len(sizes) != 1 or sizes[0] is None or sizes[0] < 2:
        return None
    is_logits = numbers_from(port.node) != "Softmax"
    if view.family not in (None, "yolov5", "yolov8"):
        raise Impossible(f"classes of the whole picture are read as yolov5 (logits) or yolov8, not as {view.family}")
    family = view.family or ("yolov5" if is_logits else "yolov8")
    doubt = names_doubt(view, sizes[0])
    if is_logits and view.said_task is None and not doubt:
        doubt = "it is taken for a classifier only because it has one number a class"
    return OutputForm(
        family,
        "classify",
        (port.index,),
        sizes[0],
        is_logits=is_logits,
        is_imagenet=family == "yolov5",
        why=f"{sizes[0]} {'logits' if is_logits else 'probabilities'} of the whole picture",
        doubt=doubt,
    )


def _only_detects(view: View, name: str) -> None:
    if view.task not in (None, "detect"):
        raise Impossible(f"{name} only detects boxes")
