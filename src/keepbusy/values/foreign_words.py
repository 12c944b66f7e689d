"""Words of other libraries for what is called otherwise here, each with ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn

_PICTURE = "`plot(image)`, which gives the picture with what was found on it, and `save(path, image)`, which writes it"
_IN_RESULT = "`plot()`, which gives the picture with what was found on it, and `save(path)`, which writes it"

OF_DETECTIONS: Mapping[str, str] = {
    # Ultralytics: Results, Boxes, Masks, Keypoints, Probs.
    "boxes": "`boxes_xyxy`, `confidence` and `class_id`, one row or number for each",
    "xyxy": "`boxes_xyxy`",
    "xywh": "`boxes_xywh`",
    "xyxyn": "`boxes_xyxyn`",
    "xywhn": "`boxes_xywhn`",
    "xywhr": "`boxes_xywhr`",
    "xyxyxyxy": "`boxes_xyxyxyxy`",
    "obb": "`boxes_xywhr`, and as corners `boxes_xyxyxyxy`",
    "conf": "`confidence`",
    "cls": "`class_id`",
    "id": "`track_id`",
    "is_track": "`track_id is not None`",
    "probs": "`probabilities`, and the best of them `top(5)`",
    "top1": "`top(1)`",
    "top5": "`top(5)`",
    "orig_shape": "`frame_hw`",
    "orig_img": "`result.frame.image`",
    "path": "`result.frame.source`",
    "speed": "`result.timings`",
    "summary": "`to_dict()`",
    "verbose": "`repr(detections)`",
    "tojson": "`to_json()`",
    "to_df": "`to_pandas()`",
    "pandas": "`to_pandas()`",
    "save_txt": "a sink: `keepbusy.open_sink('labels:out/')`",
    "save_crop": "`crops(image)`",
    "crop": "`crops(image)`",
    "render": _PICTURE,
    "show": _PICTURE,
    "cpu": "not needed: all arrays are NumPy's",
    "cuda": "not needed: all arrays are NumPy's",
    "numpy": "not needed: all arrays are NumPy's",
    "data": "`boxes_xyxy`, `confidence` and `class_id`",
    # supervision: Detections.
    "mask": "`masks`, and as one array `masks.to_array()`",
    "tracker_id": "`track_id`",
    "class_name": "`name(index)` for one, and `[found.name(index) for index in range(len(found))]` for all",
    "area": "the products of the last two columns of `boxes_xywh`",
    "box_area": "the products of the last two columns of `boxes_xywh`",
    "get_anchors_coordinates": "the first two columns of `boxes_xywh` for the centres",
    "with_nms": "the pipeline's option `iou`: these have been suppressed already",
    "is_empty": "`len(found) == 0`",
    # Of others, and what people guess.
    "bbox": "`boxes_xyxy`",
    "bboxes": "`boxes_xyxy`",
    "scores": "`confidence`",
    "score": "`confidence`",
    "confidences": "`confidence`",
    "labels": "`class_id`, and their names `names`",
    "class_ids": "`class_id`",
    "classes": "`class_id`, and their names `names`",
    "filter": "`where(classes=..., conf=...)`",
    "as_dict": "`to_dict()`",
    "asdict": "`to_dict()`",
    "json": "`to_json()`",
    "draw": _PICTURE,
}

OF_RESULT: Mapping[str, str] = {
    # What is one word of ours is that word of the result's detections.
    **{
        word: f"`detections.{ours[1:]}" for word, ours in OF_DETECTIONS.items() if re.fullmatch(r"`\w+(\(.*\))?`", ours)
    },
    **{
        word: f"`detections.{word}`" for word in ("boxes_xyxy", "confidence", "class_id", "masks", "keypoints", "names")
    },
    **{word: f"`detections.{word}()`" for word in ("to_csv", "to_json", "to_pandas", "to_supervision", "where")},
    "boxes": "`detections.boxes_xyxy`, with `detections.confidence` and `detections.class_id`",
    "probs": "`detections.probabilities`, and the best of them `detections.top(5)`",
    "predictions": "`detections`",
    "image": "`frame.image`",
    "orig_img": "`frame.image`",
    "orig_shape": "`frame.shape_hw`",
    "path": "`frame.source`",
    "source": "`frame.source`",
    "index": "`frame.index`",
    "speed": "`timings`",
    "summary": "`to_dict()`",
    "verbose": "`repr(result)`",
    "save_crop": "`crops()`",
    "crop": "`crops()`",
    "render": _IN_RESULT,
    "show": _IN_RESULT,
    "draw": _IN_RESULT,
}


def no_attribute(owner: object, word: str, words: Mapping[str, str]) -> NoReturn:
    """Raise what Python raises for an attribute that is not there, with our word for it where there is one.

    Raises:
        AttributeError: Always.
    """
    kind = type(owner).__name__
    ours = words.get(word)
    text = f"{kind!r} object has no attribute {word!r}"
    raise AttributeError(f"{text}: here it is {ours}" if ours else text, name=word, obj=owner)
