"""Tests of YOLOv8n's network: its form, assignment, distribution loss, loop and export."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch

from keepbusy.models import load_model
from keepbusy.models.head import find_head
from tests.small_training import SIZE, small_recipe, small_set
from training.checkpoint import load_average
from training.config import STRIDES, AnchorFreeLossConfig
from training.data import FrameSet
from training.export import compare, convert, describe
from training.layers import Decoded, fold_batch_norm
from training.networks import NETWORKS
from training.train import Pace, Trainer
from training.yolov8n import (
    NUM_BINS,
    AnchorFreeLoss,
    Boxes,
    YoloV8n,
    assign,
    bin_loss,
    cells_of,
    decode,
    gather_boxes,
)

CONFIG = AnchorFreeLossConfig()
NETWORK = NETWORKS["yolov8n"]


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def frames() -> FrameSet:
    return small_set()


def blank(logit: float = -9.0, size: int = SIZE) -> list[torch.Tensor]:
    """Maps that say "nothing here"."""
    return [torch.full((1, 4 * NUM_BINS + 8, size // s, size // s), logit) for s in STRIDES]


def table(*rows: tuple[int, float, float, float, float]) -> Boxes:
    """Boxes of one image: class and corners in pixels."""
    values = torch.tensor(rows, dtype=torch.float32)
    image = torch.zeros(len(rows), dtype=torch.int64)
    return Boxes(image, values[:, 0].long(), values[:, 1:], torch.ones(len(rows), dtype=torch.bool))


def test_architecture_has_the_published_parameter_count() -> None:
    model = YoloV8n(num_classes=80)
    # 3,157,200 and 3,151,904 as published, with the 16 weights that sum the bins; they are no parameters here.
    assert sum(p.numel() for p in model.parameters()) == 3_157_200 - NUM_BINS
    fold_batch_norm(model.eval())
    assert sum(p.numel() for p in model.parameters()) == 3_151_904 - NUM_BINS


def test_output_form_at_640() -> None:
    with torch.inference_mode():
        columns = Decoded(YoloV8n().eval())(torch.zeros(1, 3, 640, 640))
    assert columns.shape == (1, 12, 8400)


def test_decode_matches_float64_formula_and_order() -> None:
    rng = np.random.default_rng(0)
    raw = [rng.normal(0, 2, (2, 72, 96 // s, 64 // s)) for s in STRIDES]
    got = decode([torch.from_numpy(r).float() for r in raw], YoloV8n().bins).numpy()
    wanted = []
    for maps, stride in zip(raw, STRIDES, strict=True):
        for y in range(maps.shape[2]):
            for x in range(maps.shape[3]):
                bins = np.exp(maps[:, :64, y, x].reshape(2, 4, 16))
                left, top, right, bottom = ((bins / bins.sum(2, keepdims=True)) @ np.arange(16)).T * stride
                px, py = (x + 0.5) * stride, (y + 0.5) * stride
                box = (px + (right - left) / 2, py + (bottom - top) / 2, left + right, top + bottom)
                wanted.append(np.column_stack((*box, 1 / (1 + np.exp(-maps[:, 64:, y, x])))))
    np.testing.assert_allclose(got, np.stack(wanted, 2), rtol=2e-5, atol=2e-5)


def test_a_distance_is_taught_to_the_two_bins_around_it() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(NUM_BINS, generator=rng)
    logs = logits.log_softmax(0)
    got = bin_loss(logits, torch.tensor(3.25))
    torch.testing.assert_close(got, -(0.75 * logs[3] + 0.25 * logs[4]))
    # The best answer is exactly these shares: nothing pulls it elsewhere, and its mean is the distance.
    shares = torch.full((NUM_BINS,), 1e-9)
    shares[3], shares[4] = 0.75, 0.25
    best = shares.log().requires_grad_()
    bin_loss(best, torch.tensor(3.25)).backward()  # type: ignore[no-untyped-call]
    assert best.grad is not None and float(best.grad.abs().max()) < 1e-6
    # What is out of reach asks for the last bin.
    last = torch.full((NUM_BINS,), -20.0)
    last[-1] = 20.0
    assert float(bin_loss(last, torch.tensor(40.0))) < 0.5 < float(bin_loss(last, torch.tensor(13.0)))


def test_assignment_takes_the_aligned_cells_inside_and_settles_conflicts() -> None:
    centres, strides = cells_of(blank())
    points = centres * strides
    boxes = table((2, 40, 40, 72, 72), (5, 56, 40, 88, 72), (1, 100.5, 100.5, 102.5, 110.5))
    # Each cell predicts the box that it lies in; cells in both predict the first.
    wanted = torch.where(points[:, :1] < 72, boxes.corners[0], boxes.corners[1])
    predicted = wanted[None].clone()
    scores = torch.full((1, len(points), 8), 0.25)
    found = assign(boxes, predicted, scores, points, CONFIG)
    shared = (points[:, 0] > 56) & (points[:, 0] < 72) & (points[:, 1] > 40) & (points[:, 1] < 72)
    owned = [set(found.cell[n][found.taken[n]].tolist()) for n in range(3)]
    assert not owned[0] & owned[1]
    assert all(len(cells) <= CONFIG.num_chosen for cells in owned)
    for cells, (x1, y1, x2, y2) in zip(owned[:2], boxes.corners[:2].tolist(), strict=True):
        assert len(cells) >= 4
        assert all(x1 < x < x2 and y1 < y < y2 for x, y in points[sorted(cells)].tolist())
    assert not owned[1] & set(torch.nonzero(shared)[:, 0].tolist())
    # A box 2 pixels wide that holds no centre takes the cells beside it all the same.
    assert owned[2]
    # A perfect prediction's goal is 1; one that overlaps nothing has the goal 0.
    torch.testing.assert_close(found.goal.amax(1), torch.tensor([1.0, 1.0, 0.0]))
    assert not found.goal[~found.taken].any()


def test_the_surer_of_two_equal_boxes_is_the_better_aligned() -> None:
    points = torch.tensor([[4.0, 4.0], [12.0, 4.0], [60.0, 60.0]])
    boxes = table((0, 0, 0, 16, 16))
    predicted = torch.tensor([[[0.0, 0.0, 16.0, 8.0], [0.0, 0.0, 16.0, 8.0], [0.0, 0.0, 16.0, 16.0]]])
    scores = torch.tensor([[[0.16], [0.64], [1.0]]])
    found = assign(boxes, predicted, scores, points, CONFIG)
    assert found.cell[0][found.taken[0]].tolist() == [1, 0]
    # t = score^0.5 x IoU^6, and the best one's goal is its IoU.
    torch.testing.assert_close(found.goal[0][:2], torch.tensor([0.5, 0.25]))


def test_a_batchs_boxes_are_gathered_without_their_padding() -> None:
    targets = torch.full((2, 3, 5), -1.0)
    targets[0, 1] = torch.tensor([4.0, 1, 2, 3, 4])
    targets[1, 0] = torch.tensor([6.0, 5, 6, 7, 8])
    boxes = gather_boxes(targets, 3)
    assert boxes.image[:2].tolist() == [0, 1] and boxes.kind[:2].tolist() == [4, 6]
    assert boxes.real.tolist() == [True, True, False]
    assert boxes.corners[:2].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_perfect_predictions_lose_less_than_wrong_ones() -> None:
    loss = AnchorFreeLoss(CONFIG, YoloV8n())
    targets = torch.tensor([[[2.0, 40.0, 40.0, 72.0, 88.0], [-1.0, 0.0, 0.0, 0.0, 0.0]]])
    raw = blank()
    wrong, parts = loss(raw, targets)
    right = [maps.clone() for maps in raw]
    for x, y in ((5, 5), (6, 6), (7, 8)):
        place = torch.tensor((x + 0.5, y + 0.5))
        reach = torch.cat((place - targets[0, 0, 1:3] / 8, targets[0, 0, 3:] / 8 - place))
        for side in range(4):
            low = math.floor(reach[side])
            share = float(reach[side]) - low
            bins = right[0][0, side * NUM_BINS : (side + 1) * NUM_BINS, y, x]
            bins[low], bins[low + 1] = math.log(1 - share + 1e-6) + 20, math.log(share + 1e-6) + 20
        right[0][0, 4 * NUM_BINS + 2, y, x] = 9.0
    better, exact = loss(right, targets)
    assert float(better) < 0.3 * float(wrong)
    assert float(exact[3]) > float(parts[3])
    empty = torch.full((1, 2, 5), -1.0)
    assert float(loss(raw, empty)[0]) < 0.5
    sure = blank(3.0)
    hidden = torch.tensor([[[0.0, 0.0, 160.0, 160.0]]])
    assert float(loss(sure, empty)[0]) > 1000
    assert float(loss(sure, empty, hidden)[0]) == 0
    # A hidden region does not excuse the cells that a box there has taken.
    assert float(loss(raw, targets, hidden)[1][1]) > 0


def test_loss_falls_and_the_checkpoint_knows_its_network(frames: FrameSet, tmp_path: Path) -> None:
    recipe = small_recipe(network="yolov8n", batch=3)
    trainer = Trainer(recipe, frames, tmp_path)
    history = trainer.run(Pace(steps=12), log_every=3)
    totals = [sum(row[:3]) for row in history]
    assert totals[-1] < 0.75 * totals[0], totals
    assert max(f.stat().st_size for f in tmp_path.iterdir()) < 15 * 2**20
    model, state = load_average(tmp_path)
    assert isinstance(model, YoloV8n) and state["step"] == 12
    with pytest.raises(RuntimeError, match="YoloV5n"):
        Trainer(replace(recipe, network="yolov5n"), frames, tmp_path, resume=tmp_path)


def test_export_matches_the_model_and_keepbusy_knows_its_head(frames: FrameSet, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = YoloV8n()
    model.train()
    model(frames.plain(0, 4)[0])
    model.eval()
    # Random weights are sure of nothing: at this prior, boxes count in the comparison.
    for branch in model.class_heads:
        branch[-1].bias.data.fill_(-2.0)  # type: ignore[index]
    kept = {k: v.clone() for k, v in model.state_dict().items()}
    converted = convert(model, SIZE)
    describe(converted, NETWORK, {"step": 1}, {"map50": 0.5})
    same = YoloV8n()
    same.load_state_dict(kept)
    pictures = frames.plain(0, 2)[0].numpy()
    for half, limit in ((False, 1e-3), (True, 2e-2)):
        xml = tmp_path / f"m{half:d}.xml"
        ov.save_model(converted, xml, compress_to_fp16=half)
        assert compare(xml, same, NETWORK, pictures) < limit
        read = load_model(xml)
        head = find_head(read.graph, read.output, read.input_hw)
        assert head is not None and head.num_bins == NUM_BINS
        assert tuple(level.stride_px for level in head.levels) == STRIDES
    assert (read.output.family, read.output.num_classes) == ("yolov8", 8)
    assert tuple(read.graph.outputs[0].shape) == (1, 12, 525)
    assert "ShapeOf" not in {node.get_type_name() for node in read.graph.get_ops()}
    assert read.graph.get_rt_info(["model_info", "model_type"]).astype(str) == "YOLOv8"
