"""COCO's val pictures, where they are at hand: `keepbusy eval` against an evaluation written from the definitions.

The other side: letterbox in NumPy, the stock graph, decoding and suppression in float64 with every class of a box
above the threshold, labels parsed here, and pycocotools for the scores.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray

from tests import reference

CONF, IOU, MAX_DET, MAX_CANDIDATES = 0.001, 0.6, 300, 30_000
SIDE = 640


def decode(output: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rows → (left, top, right, bottom, confidence, class) of the input's pixels, suppressed, best first."""
    rows = output[0].astype(np.float64)
    scores = rows[:, 5:] * rows[:, 4:5]
    row, class_id = np.nonzero(scores > CONF)
    centre, half = rows[row, :2], rows[row, 2:4] / 2
    found = np.column_stack((centre - half, centre + half, scores[row, class_id], class_id))
    found = found[np.argsort(-found[:, 4], kind="stable")][:MAX_CANDIDATES]
    kept = [suppress(found[found[:, 5] == number]) for number in np.unique(found[:, 5])]
    together = np.concatenate(kept) if kept else found
    return together[np.argsort(-together[:, 4], kind="stable")][:MAX_DET]


def suppress(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Greedy, best first, of one class."""
    kept = []
    while len(rows):
        best, rows = rows[0], rows[1:]
        kept.append(best)
        low = np.maximum(best[:2], rows[:, :2])
        high = np.minimum(best[2:4], rows[:, 2:4])
        common = np.prod(np.clip(high - low, 0, None), axis=1)
        areas = np.prod(rows[:, 2:4] - rows[:, :2], axis=1)
        rows = rows[common / (np.prod(best[2:4] - best[:2]) + areas - common) <= IOU]
    return np.array(kept)


def score(truth: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    ground = COCO()
    ground.dataset = truth
    ground.createIndex()
    scorer = COCOeval(ground, ground.loadRes(results), "bbox")
    scorer.params.maxDets = [1, 100, MAX_DET]
    scorer.evaluate()
    scorer.accumulate()
    precision = scorer.eval["precision"][..., -1]
    cuts = {
        "map50_95": precision[:, :, :, 0],
        "map50": precision[0, :, :, 0],
        "map75": precision[5, :, :, 0],
        "small": precision[:, :, :, 1],
        "medium": precision[:, :, :, 2],
        "large": precision[:, :, :, 3],
    }
    return {name: float(cut[cut > -1].mean()) for name, cut in cuts.items()}


def evaluate_plainly(model: Path, folder: Path) -> tuple[dict[str, float], dict[str, Any]]:
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, path in enumerate(sorted(folder.glob("*.jpg")), start=1):
        picture = np.asarray(cv2.imread(str(path)), np.uint8)
        height, width = picture.shape[:2]
        images.append({"id": number, "width": width, "height": height, "file_name": path.name})
        labels = Path(str(folder).replace("images", "labels")) / f"{path.stem}.txt"
        for line in labels.read_text().splitlines() if labels.exists() else []:
            class_id, cx, cy, w, h = (float(word) for word in line.split())
            box = [(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height]
            objects.append(
                {"id": len(objects) + 1, "image_id": number, "category_id": int(class_id) + 1, "bbox": box}
                | {"area": box[2] * box[3], "iscrowd": 0}
            )
        laid, scale, left, top = reference.lay(picture, (SIDE, SIDE))
        blob = laid[:, :, ::-1].astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255)
        for *box, confidence, class_id in decode(compiled([blob])[0]).tolist():
            x1, x2 = (min(max((x - left) / scale, 0), width) for x in box[0::2])
            y1, y2 = (min(max((y - top) / scale, 0), height) for y in box[1::2])
            results.append(
                {"image_id": number, "category_id": int(class_id) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
                | {"score": confidence}
            )
    categories = [{"id": number + 1, "name": f"class {number}"} for number in range(80)]
    truth = {"images": images, "annotations": objects, "categories": categories}
    return score(truth, results), truth


def run_eval(model: Path, folder: Path, out: Path, mode: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "keepbusy", "eval", "-m", str(model), "--data", str(folder), "--precision", "f32"]
    # The reference lays every picture into 640x640. The head that is fastest may be another one in each mode, and heads
    # differ in the last bits of a float32: sync and async are compared with the same.
    command += ["--shape", "square", "--head", "host", "--mode", mode, "--save-dir", str(out), "--quiet"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=250, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    content: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return content


def test_val_scores_agree_with_a_plain_evaluation_and_sync_with_async(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    model, folder = data / "models" / "yolov5n.xml", data / "coco" / "images" / "val2017"
    scores = {mode: run_eval(model, folder, tmp_path / mode, mode) for mode in ("sync", "async")}
    expected, truth = evaluate_plainly(model, folder)
    ours = scores["async"]
    assert (ours["num_frames"], ours["num_objects"]) == (len(truth["images"]), len(truth["annotations"]))
    assert expected["map50_95"] > 0.25  # the model and the pictures are the right ones
    found = {name: ours[name] for name in ("map50_95", "map50", "map75")} | ours["by_area"]
    # The two sides' float32 inferences round differently, which may swap the order of two detections of almost the
    # same confidence: of a class with a single object that moves its average precision by much, their mean by little.
    assert found == pytest.approx(expected, abs=0.002)

    assert [scores[mode].pop("settings")["mode"] for mode in ("sync", "async")] == ["sync", "async"]
    assert all(scores[mode].pop("throughput_fps") > 0 for mode in ("sync", "async"))
    assert scores["sync"] == scores["async"]
    texts = [(tmp_path / mode / "detections.json").read_bytes() for mode in ("sync", "async")]
    assert texts[0] == texts[1]

    # What is written is what was scored: pycocotools says the same of the results, with the data's own ids.
    by_name = {int(Path(image["file_name"]).stem): image["id"] for image in truth["images"]}
    results = [
        {**item, "image_id": by_name[item["image_id"]], "category_id": item["category_id"] + 1}
        for item in json.loads(texts[1])
    ]
    # Boxes are written to a thousandth of a pixel, confidences to five digits.
    assert score(truth, results) == pytest.approx(found, abs=1e-4)
