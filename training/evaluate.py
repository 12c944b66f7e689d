"""COCO evaluation of a checkpoint or of an exported model on unseen scenes.

The metric itself is faster-coco-eval's; this file only prepares boxes for it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training.config import CLASS_NAMES, IMAGE_SIZE

Predict = Callable[[np.ndarray], np.ndarray]
CONFIDENCE = 0.001
IOU = 0.6
MAX_DETECTIONS = 300
MAX_CANDIDATES = 10_000


def available() -> bool:
    """Tell whether faster-coco-eval is installed."""
    return importlib.util.find_spec("faster_coco_eval") is not None


def select(
    rows: np.ndarray,
    confidence: float = CONFIDENCE,
    iou: float = IOU,
    max_detections: int = MAX_DETECTIONS,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn decoded rows into detections: every class of a row counts, then NMS by class.

    Args:
        rows: float32 [R, 5 + C], centre x, centre y, width, height, objectness, probabilities.
        confidence: least objectness times class probability.
        iou: overlap above which the lower score is dropped.
        max_detections: most detections returned.

    Returns:
        (boxes float32 [N, 4] as x, y, width, height; scores float32 [N]; classes int64 [N]),
        by falling score.
    """
    rows = rows[rows[:, 4] > confidence]
    scores = rows[:, 4:5] * rows[:, 5:]
    row, label = np.nonzero(scores > confidence)
    score = scores[row, label]
    order = np.argsort(-score, kind="stable")[:MAX_CANDIDATES]
    row, label, score = row[order], label[order], score[order]
    boxes = rows[row, :4].copy()
    boxes[:, :2] -= boxes[:, 2:] / 2
    if not len(score):
        return boxes, score, label
    kept = cv2.dnn.NMSBoxesBatched(
        boxes.astype(np.float64).tolist(), score.tolist(), label.tolist(), confidence, iou
    )
    best = np.sort(np.asarray(kept, np.int64).reshape(-1))[:max_detections]
    return boxes[best], score[best], label[best]


def coco_metrics(truth: dict[str, Any], detections: np.ndarray) -> dict[str, Any]:
    """Score detections with faster-coco-eval.

    Args:
        truth: a COCO data set: images, annotations, categories.
        detections: float64 [N, 7]: image id, x, y, width, height, score, category id.

    Returns:
        map50_95, map50, map75, their values by object size, and a table by class.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    reference = COCO(truth)
    scorer = COCOeval_faster(reference, reference.loadRes(detections), "bbox")
    # The third limit is the one that the summary's averages use.
    scorer.params.maxDets = [1, 100, MAX_DETECTIONS]
    scorer.evaluate()
    scorer.accumulate()
    precision = scorer.eval["precision"]  # [threshold, recall, class, area, limit]

    def mean(values: np.ndarray) -> float | None:
        values = values[values > -1]
        return round(float(values.mean()), 4) if values.size else None

    by_class = {
        name: {
            "map50_95": mean(precision[:, :, k, 0, -1]),
            "map50": mean(precision[0, :, k, 0, -1]),
            "boxes": sum(a["category_id"] == k + 1 for a in truth["annotations"]),
        }
        for k, name in enumerate(CLASS_NAMES)
    }
    areas = {n: mean(precision[..., i, -1]) for i, n in ((1, "small"), (2, "medium"), (3, "large"))}
    return {
        "map50_95": mean(precision[..., 0, -1]),
        "map50": mean(precision[0, ..., 0, -1]),
        "map75": mean(precision[5, ..., 0, -1]),
        "by_area": areas,
        "by_class": by_class,
        "frames": len(truth["images"]),
        "boxes": len(truth["annotations"]),
    }


def evaluate(predict: Predict, folder: Path, limit: int | None = None) -> dict[str, Any]:
    """Evaluate a predictor on a rendered split, in the pixels of the scenes.

    Args:
        predict: maps float32 [1, 3, S, S] RGB 0..1 to float32 [1, R, 5 + C].
        folder: a split that ``training.render`` wrote.
        limit: most frames to use.

    Returns:
        The metrics (see ``coco_metrics``).
    """
    images = np.load(folder / "images.npy", mmap_mode="r")[:limit]
    labels, content = np.load(folder / "labels.npy"), np.load(folder / "content.npy")
    scenes = np.load(folder / "scenes.npy")
    truth: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(CLASS_NAMES)],
    }
    found = []
    for number, image in enumerate(images):
        width, height = (int(v) for v in scenes[number, 2:4])
        scale = min(images.shape[1] / width, images.shape[1] / height)
        left, top = content[number, :2]
        truth["images"].append({"id": number + 1, "width": width, "height": height})
        for cls, x1, y1, x2, y2 in labels[number][labels[number, :, 0] >= 0].tolist():
            w, h = (x2 - x1) / scale, (y2 - y1) / scale
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": number + 1,
                    "category_id": int(cls) + 1,
                    "bbox": [(x1 - left) / scale, (y1 - top) / scale, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
        tensor = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        boxes, score, label = select(predict(tensor)[0])
        low = np.clip((boxes[:, :2] - (left, top)) / scale, 0, (width, height))
        high = np.clip((boxes[:, :2] + boxes[:, 2:] - (left, top)) / scale, 0, (width, height))
        ids = np.full((len(score), 1), number + 1)
        found.append(np.hstack((ids, low, high - low, score[:, None], label[:, None] + 1)))
        if (number + 1) % 100 == 0:
            print(f"evaluate: {number + 1}/{len(images)} frames", file=sys.stderr, flush=True)
    return coco_metrics(truth, np.concatenate(found).astype(np.float64))


def openvino_predictor(xml: Path, device: str = "CPU") -> Predict:
    """Compile an exported model and return its predictor."""
    import openvino as ov

    compiled = ov.Core().compile_model(xml, device)

    def predict(images: np.ndarray) -> np.ndarray:
        result: np.ndarray = compiled(images)[0]
        return result

    return predict


def torch_predictor(checkpoint: Path) -> Predict:
    """Return the predictor of a checkpoint's averaged weights, on a GPU when there is one."""
    import torch

    from training.checkpoint import load_average
    from training.model import Decoded

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Decoded(load_average(checkpoint)[0]).to(device).eval()

    @torch.inference_mode()
    def predict(images: np.ndarray) -> np.ndarray:
        result: np.ndarray = model(torch.from_numpy(images).to(device)).cpu().numpy()
        return result

    return predict


def write_results(metrics: dict[str, Any], what: str, out: Path) -> None:
    """Write ``results.json`` and the same as a table, ``results.md``, into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps({"model": what, **metrics}, indent=1) + "\n")

    def show(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    lines = [
        f"Model: {what}; {metrics['frames']} frames, {metrics['boxes']} boxes, "
        f"{IMAGE_SIZE} x {IMAGE_SIZE} input, confidence {CONFIDENCE}, NMS IoU {IOU}, "
        f"at most {MAX_DETECTIONS} detections a frame.",
        "",
        "| class | mAP50-95 | mAP50 | boxes |",
        "| --- | ---: | ---: | ---: |",
        f"| **all** | {show(metrics['map50_95'])} | {show(metrics['map50'])} "
        f"| {metrics['boxes']} |",
    ]
    for name, row in metrics["by_class"].items():
        lines.append(
            f"| {name} | {show(row['map50_95'])} | {show(row['map50'])} | {row['boxes']} |"
        )
    sizes = ", ".join(f"{n} {show(v)}" for n, v in metrics["by_area"].items())
    lines += ["", f"mAP75 {show(metrics['map75'])}; mAP50-95 by COCO size: {sizes}."]
    (out / "results.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Evaluate from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="an .xml file or a checkpoint folder")
    parser.add_argument("--data", type=Path, required=True, help="folder of a rendered split")
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--limit", type=int, help="most frames to use")
    parser.add_argument("--device", default="CPU", help="OpenVINO device of an .xml file")
    args = parser.parse_args()
    if args.model.suffix == ".xml":
        predict = openvino_predictor(args.model, args.device)
    else:
        predict = torch_predictor(args.model)
    metrics = evaluate(predict, args.data, args.limit)
    write_results(metrics, args.model.name, args.out)
    print((args.out / "results.md").read_text())


if __name__ == "__main__":
    main()
