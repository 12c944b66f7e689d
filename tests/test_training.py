"""Tests of the training code: model form, assignment, augmentation, loop, resume and export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch

from tests.small_training import CPU, SIZE, small_recipe, small_set
from training.augment import draw_layout, move_boxes, recolour, sample
from training.boxes import ciou
from training.checkpoint import load_average
from training.config import ANCHORS, STRIDES, VAL_SEED_START, AnchorLossConfig, AugmentConfig
from training.data import FrameSet, Sampler
from training.evaluate import evaluate
from training.export import compare, convert, describe
from training.layers import Decoded, fold_batch_norm
from training.networks import NETWORKS
from training.render import Split, render
from training.train import Pace, Trainer
from training.yolov5n import AnchorLoss, YoloV5n, assign, decode

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def frames() -> FrameSet:
    return small_set()


def test_architecture_has_the_published_parameter_count() -> None:
    model = YoloV5n(num_classes=80)
    assert sum(p.numel() for p in model.parameters()) == 1_872_157
    fold_batch_norm(model.eval())
    assert sum(p.numel() for p in model.parameters()) == 1_867_405


def test_folding_keeps_the_outputs() -> None:
    torch.manual_seed(0)
    model = YoloV5n()
    model.train()
    images = torch.rand(2, 3, 64, 64)
    model(images)
    model.eval()
    with torch.inference_mode():
        before = model(images)
        after = fold_batch_norm(model)(images)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_output_form_at_640() -> None:
    with torch.inference_mode():
        rows = Decoded(YoloV5n().eval())(torch.zeros(1, 3, 640, 640))
    assert rows.shape == (1, 25_200, 13)


def test_decode_matches_float64_formula_and_order() -> None:
    rng = np.random.default_rng(0)
    raw = [rng.normal(0, 2, (2, 39, 96 // s, 64 // s)) for s in STRIDES]
    got = decode([torch.from_numpy(r).float() for r in raw], torch.tensor(ANCHORS), 13).numpy()
    wanted = []
    for maps, stride, anchors in zip(raw, STRIDES, ANCHORS, strict=True):
        prob = 1 / (1 + np.exp(-maps))
        for a in range(3):
            for y in range(maps.shape[2]):
                for x in range(maps.shape[3]):
                    p = prob[:, a * 13 : (a + 1) * 13, y, x]
                    cx = (2 * p[:, 0] - 0.5 + x) * stride
                    cy = (2 * p[:, 1] - 0.5 + y) * stride
                    w = 4 * p[:, 2] ** 2 * anchors[a][0]
                    h = 4 * p[:, 3] ** 2 * anchors[a][1]
                    wanted.append(np.column_stack((cx, cy, w, h, p[:, 4:])))
    np.testing.assert_allclose(got, np.stack(wanted, 1), rtol=2e-5, atol=2e-5)


def test_assignment_takes_the_right_cells_and_anchors() -> None:
    # A 16 x 30 pixel box at (45.6, 82.4): cell (5, 10) of stride 8, right of and above its middle.
    boxes = torch.tensor([[[45.6, 82.4, 16.0, 30.0], [0.0, 0.0, 0.0, 0.0]]]) / 8
    real = torch.tensor([[True, False]])
    anchors = torch.tensor(ANCHORS[0]) / 8
    found = assign(boxes, real, anchors, 4.0, (20, 20))
    cells = {
        (int(a), int(found.column[0, n, a, c]), int(found.row[0, n, a, c])) for _, n, a, c in torch.nonzero(found.valid)
    }
    near = {(5, 10), (6, 10), (5, 9)}
    assert cells == {(a, x, y) for a in range(3) for x, y in near}
    narrow = assign(boxes, real, anchors, 1.2, (20, 20))
    assert {int(a) for _, _, a, _ in torch.nonzero(narrow.valid)} == {1}
    corner = assign(torch.tensor([[[0.2, 19.9, 2.0, 4.0]]]), real[:, :1], anchors, 4.0, (20, 20))
    assert int(corner.valid[0, 0, 0].sum()) == 1


def test_ciou_of_known_boxes() -> None:
    a = torch.tensor([[5.0, 5.0, 10.0, 10.0], [5.0, 5.0, 10.0, 10.0]])
    b = torch.tensor([[5.0, 5.0, 10.0, 10.0], [10.0, 5.0, 10.0, 10.0]])
    iou, complete = ciou(a, b)
    torch.testing.assert_close(iou, torch.tensor([1.0, 1 / 3]))
    torch.testing.assert_close(complete, torch.tensor([1.0, 1 / 3 - 25 / 325]))


def test_perfect_predictions_lose_less_than_wrong_ones() -> None:
    loss = AnchorLoss(AnchorLossConfig(), YoloV5n())
    targets = torch.tensor([[[2.0, 40.0, 40.0, 70.0, 90.0], [-1.0, 0.0, 0.0, 0.0, 0.0]]])
    raw = [torch.full((1, 39, 160 // s, 160 // s), -4.0) for s in STRIDES]
    wrong = float(loss(raw, targets)[0])
    empty = float(loss(raw, torch.full((1, 2, 5), -1.0))[0])
    assert empty < 0.2 < wrong
    hidden = torch.tensor([[[0.0, 0.0, 160.0, 160.0]]])
    assert float(loss(raw, torch.full((1, 2, 5), -1.0), hidden)[0]) == 0


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_boxes_follow_the_pixels(mosaic: float) -> None:
    size = 256
    images = np.full((4, size, size, 3), 30, np.uint8)
    labels = np.full((4, 2, 5), -1, np.float32)
    for f, (x1, y1, x2, y2) in enumerate(
        ((60, 80, 130, 140), (100, 60, 220, 190), (30, 90, 80, 120), (140, 100, 200, 170))
    ):
        images[f, y1:y2, x1:x2] = (250, 0, 0)
        labels[f, 0] = (f, x1, y1, x2, y2)
    content = np.tile(np.array((0, 40, size, 216), np.float32), (4, 1))
    data = FrameSet(images, labels, content, CPU)
    config = AugmentConfig(
        mosaic=mosaic, untouched=0.2, brightness=0.0, tint=0.0, contrast=0.0, saturation=0.0,
        noise=0.0, min_visible=0.0, min_sides=(0.0, 0.0),
    )  # fmt: skip
    checked = 0
    for seed in range(10):
        rng = torch.Generator().manual_seed(seed)
        layout = draw_layout(torch.arange(4), data.content, size, config, rng)
        pixels, inside = sample(data.frames, layout, size)
        pictures = recolour(pixels, inside, config, rng)
        targets, _ = move_boxes(data.labels, layout, size, config)
        # Mark every target's area; red pixels must lie in the marks and reach their edges.
        for picture, rows in zip(pictures, targets, strict=True):
            red = (picture[0] - picture[2]).numpy() > 0.45
            marked = np.zeros_like(red)
            for x1, y1, x2, y2 in rows[rows[:, 0] >= 0, 1:].tolist():
                left, top = max(0, round(x1) - 1), max(0, round(y1) - 1)
                marked[top : round(y2) + 1, left : round(x2) + 1] = True
                part = red[max(0, round(y1)) : round(y2), max(0, round(x1)) : round(x2)]
                if min(x2 - x1, y2 - y1) < 8:
                    continue
                ys, xs = np.nonzero(part)
                assert xs.min() <= 2
                assert ys.min() <= 2
                assert part.shape[1] - xs.max() <= 3
                assert part.shape[0] - ys.max() <= 3
                checked += 1
            assert not (red & ~marked).any()
    assert checked > 30


def test_untouched_frames_stay_exact(frames: FrameSet) -> None:
    config = AugmentConfig(mosaic=0.0, untouched=1.0, flip=0.0, plain=1.0)
    rng = torch.Generator().manual_seed(0)
    layout = draw_layout(torch.arange(4), frames.content, SIZE, config, rng)
    got = recolour(*sample(frames.frames, layout, SIZE), config, rng)
    torch.testing.assert_close(got, frames.plain(0, 4)[0], rtol=0, atol=1e-5)


def test_batches_depend_on_the_step_alone(frames: FrameSet) -> None:
    one, two = Sampler(frames, 4, 3), Sampler(frames, 4, 3)
    one.draw(0, AugmentConfig())
    for a, b in zip(one.draw(1, AugmentConfig()), two.draw(1, AugmentConfig()), strict=True):
        assert torch.equal(a, b)


def test_loss_falls(frames: FrameSet, tmp_path: Path) -> None:
    trainer = Trainer(small_recipe(), frames, tmp_path)
    history = trainer.run(Pace(steps=24), log_every=4)
    totals = [sum(row[:3]) for row in history]
    assert totals[-1] < 0.75 * totals[0], totals
    assert max(f.stat().st_size for f in tmp_path.iterdir()) < 15 * 2**20


def test_resume_goes_on_where_the_run_stopped(frames: FrameSet, tmp_path: Path) -> None:
    recipe = small_recipe(batch=2)
    whole = Trainer(recipe, frames, tmp_path / "whole")
    whole.run(Pace(steps=4), log_every=2)
    first = Trainer(recipe, frames, tmp_path / "first")
    # Half the schedule: stop after two of four steps.
    for _ in range(2):
        first.train_step(0.001, final=False)
    first.progress = 0.5
    first.save()
    second = Trainer(recipe, frames, tmp_path / "second", resume=tmp_path / "first")
    assert (second.step, second.progress) == (2, 0.5)
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
    for trainer in (first, second):
        trainer.train_step(0.001, final=False)
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    second.run(Pace(steps=4), log_every=1)
    assert load_average(tmp_path / "second")[1]["step"] == 4
    assert load_average(tmp_path / "whole")[1]["step"] == 4


def test_time_pace_spans_calls() -> None:
    pace = Pace(seconds=100.0, until=1.0, start=0.5)
    assert pace.progress(7, 50.0) == 0.75
    assert not pace.over(0.75, 50.0)
    assert pace.over(pace.progress(9, 100.0), 100.0)


def test_export_matches_the_model(frames: FrameSet, tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = NETWORKS["yolov5n"]
    model = YoloV5n()
    model.train()
    model(frames.plain(0, 4)[0])
    model.eval()
    kept = {k: v.clone() for k, v in model.state_dict().items()}
    converted = convert(model, SIZE)
    describe(converted, network, {"step": 1}, {"map50": 0.5})
    same = YoloV5n()
    same.load_state_dict(kept)
    pictures = frames.plain(0, 2)[0].numpy()
    for half, limit in ((False, 1e-3), (True, 2e-2)):
        xml = tmp_path / f"m{half:d}.xml"
        ov.save_model(converted, xml, compress_to_fp16=half)
        assert compare(xml, same, network, pictures) < limit
    read = ov.Core().read_model(xml)
    assert read.inputs[0].any_name == "images"
    assert read.outputs[0].any_name == "output"
    assert read.get_rt_info(["model_info", "model_type"]).astype(str) == "YOLOv5"
    assert "traffic_light" in read.get_rt_info(["model_info", "labels"]).astype(str)
    assert sum(f.stat().st_size for f in tmp_path.glob("m1.*")) < 5 * 2**20


def test_a_predictor_that_knows_the_truth_scores_one(tmp_path: Path) -> None:
    render(tmp_path, Split(VAL_SEED_START, seeds=2, frames=1, size=320), workers=1)
    labels = np.load(tmp_path / "labels.npy")
    frames = iter(labels)

    def oracle(image: np.ndarray) -> np.ndarray:
        assert image.shape == (1, 3, 320, 320) and image.min() >= 0 and image.max() <= 1
        known = next(frames)
        known = known[known[:, 0] >= 0]
        rows = np.zeros((1, len(known), 13), np.float32)
        rows[0, :, 0:2] = (known[:, 1:3] + known[:, 3:5]) / 2
        rows[0, :, 2:4] = known[:, 3:5] - known[:, 1:3]
        rows[0, :, 4] = 0.9
        rows[0, np.arange(len(known)), 5 + known[:, 0].astype(int)] = 1
        return rows

    metrics = evaluate(oracle, NETWORKS["yolov5n"].form, tmp_path)
    assert metrics["frames"] == 2 and metrics["boxes"] == (labels[..., 0] >= 0).sum() > 4
    # Overlapping objects of one class suppress each other at an IoU of 0.6: not every box survives.
    assert metrics["map50_95"] > 0.9
