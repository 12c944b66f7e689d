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

import numpy as np

from keepbusy.config import DetectConfig
from keepbusy.evaluate import Accuracy, CocoEvaluation
from keepbusy.pictures.letterbox import Letterbox
from keepbusy.postprocess import to_detections
from keepbusy.street import CLASS_NAMES
from keepbusy.values.forms import OutputForm
from training.config import IMAGE_SIZE

Predict = Callable[[np.ndarray], np.ndarray]
SETTINGS = DetectConfig(conf=0.001, iou=0.6, max_det=300, multi_label=True)


def available() -> bool:
    """Tell whether faster-coco-eval is installed."""
    return importlib.util.find_spec("faster_coco_eval") is not None


def evaluate(predict: Predict, form: OutputForm, folder: Path, limit: int | None = None) -> dict[str, Any]:
    """Evaluate a predictor on a rendered split, in the pixels of the scenes.

    Args:
        predict: maps float32 [1, 3, S, S] RGB 0..1 to the network's output, float32.
        form: what that output is.
        folder: a split that ``training.render`` wrote.
        limit: most frames to use.

    Returns:
        The metrics, ready for JSON (see ``as_metrics``).
    """
    images = np.load(folder / "images.npy", mmap_mode="r")[:limit]
    labels, scenes = np.load(folder / "labels.npy"), np.load(folder / "scenes.npy")
    evaluation = CocoEvaluation(CLASS_NAMES)
    for number, image in enumerate(images):
        width, height = (int(v) for v in scenes[number, 2:4])
        letterbox = Letterbox.fit((height, width), (images.shape[1], images.shape[2]))
        rows = labels[number][labels[number, :, 0] >= 0]
        truth = letterbox.boxes_to_frame(rows[:, 1:].astype(np.float32))
        tensor = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        detections = to_detections((predict(tensor),), letterbox, form, SETTINGS, CLASS_NAMES)
        evaluation.add((width, height), truth, rows[:, 0].astype(np.int64), detections)
        if (number + 1) % 100 == 0:
            print(f"evaluate: {number + 1}/{len(images)} frames", file=sys.stderr, flush=True)
    return as_metrics(evaluation.accuracy())


def as_metrics(accuracy: Accuracy) -> dict[str, Any]:
    """Return scores as JSON-ready values, rounded to four digits."""

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 4)

    return {
        "map50_95": rounded(accuracy.map50_95),
        "map50": rounded(accuracy.map50),
        "map75": rounded(accuracy.map75),
        "by_area": {name: rounded(value) for name, value in accuracy.by_area.items()},
        "by_class": {
            name: {
                "map50_95": rounded(row.map50_95),
                "map50": rounded(row.map50),
                "boxes": row.num_objects,
            }
            for name, row in accuracy.by_class.items()
        },
        "frames": accuracy.num_frames,
        "boxes": accuracy.num_objects,
    }


def openvino_predictor(xml: Path, device: str = "CPU") -> tuple[Predict, OutputForm]:
    """Compile an exported model and return its predictor and the form of its output."""
    import openvino as ov

    from keepbusy.models import load_model

    compiled = ov.Core().compile_model(xml, device)

    def predict(images: np.ndarray) -> np.ndarray:
        result: np.ndarray = compiled(images)[0]
        return result

    return predict, load_model(xml).output


def torch_predictor(checkpoint: Path) -> tuple[Predict, OutputForm]:
    """Return the predictor of a checkpoint's averaged weights, on a GPU when there is one, and its form."""
    import torch

    from training.checkpoint import load_average
    from training.layers import Decoded
    from training.networks import network_of

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    average, state = load_average(checkpoint)
    model = Decoded(average).to(device).eval()

    @torch.inference_mode()
    def predict(images: np.ndarray) -> np.ndarray:
        result: np.ndarray = model(torch.from_numpy(images).to(device)).cpu().numpy()
        return result

    return predict, network_of(state).form


def write_results(metrics: dict[str, Any], what: str, out: Path) -> None:
    """Write ``results.json`` and the same as a table, ``results.md``, into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps({"model": what, **metrics}, indent=1) + "\n")

    def show(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    lines = [
        f"Model: {what}; {metrics['frames']} frames, {metrics['boxes']} boxes, "
        f"{IMAGE_SIZE} x {IMAGE_SIZE} input, confidence {SETTINGS.conf}, NMS IoU {SETTINGS.iou}, "
        f"at most {SETTINGS.max_det} detections a frame.",
        "",
        "| class | mAP50-95 | mAP50 | boxes |",
        "| --- | ---: | ---: | ---: |",
        f"| **all** | {show(metrics['map50_95'])} | {show(metrics['map50'])} | {metrics['boxes']} |",
    ]
    for name, row in metrics["by_class"].items():
        lines.append(f"| {name} | {show(row['map50_95'])} | {show(row['map50'])} | {row['boxes']} |")
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
        predict, form = openvino_predictor(args.model, args.device)
    else:
        predict, form = torch_predictor(args.model)
    metrics = evaluate(predict, form, args.data, args.limit)
    write_results(metrics, args.model.name, args.out)
    print((args.out / "results.md").read_text())


if __name__ == "__main__":
    main()
