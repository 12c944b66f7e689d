"""The recipe: every number that shapes the model, the loss, the augmentation and the run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

IMAGE_SIZE = 640
PAD_VALUE = 114
NetworkName = Literal["yolov5n", "yolov8n"]
STRIDES: tuple[int, int, int] = (8, 16, 32)
Anchors = tuple[tuple[tuple[float, float], ...], ...]
ANCHORS: Anchors = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
SCENE_SIZES: tuple[tuple[int, int], ...] = (
    (1280, 720),
    (1280, 720),
    (960, 540),
    (768, 432),
    (640, 640),
    (1024, 768),
)
TRAIN_SEED_START = 10_000
VAL_SEED_START = 1_000_000


@dataclass(frozen=True)
class AnchorLossConfig:
    """Gains and thresholds of YOLOv5n's loss.

    Attributes:
        box: gain of the CIoU term.
        objectness: gain of the objectness term.
        classification: gain of the class term.
        balance: objectness weight of P3, P4 and P5.
        max_ratio: an anchor takes a box when no side ratio exceeds this.
        label_smoothing: epsilon of the class targets, 0 for hard targets.
    """

    box: float = 0.1
    objectness: float = 1.0
    classification: float = 0.1
    balance: tuple[float, float, float] = (4.0, 1.0, 0.4)
    max_ratio: float = 4.0
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class AnchorFreeLossConfig:
    """Gains and thresholds of YOLOv8n's loss.

    Attributes:
        box: gain of the CIoU term.
        classification: gain of the class term.
        distribution: gain of the distribution focal loss.
        num_chosen: cells that each box asks for.
        score_power: exponent of the class score in the alignment metric.
        iou_power: exponent of the IoU in the alignment metric.
        min_side: a shorter side in pixels counts as this long when the cells inside a box are
            looked for, so that every box has some.
        boxes_per_image: boxes that an image has on average at most; a batch of B images that takes
            tables of N rows keeps B times this and N more of them, and the rest are not taught.
    """

    box: float = 7.5
    classification: float = 0.5
    distribution: float = 1.5
    num_chosen: int = 10
    score_power: float = 0.5
    iou_power: float = 6.0
    min_side: float = 12.0
    boxes_per_image: int = 64


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges of the augmentation of one phase of the run.

    Attributes:
        mosaic: probability of a four-image mosaic.
        untouched: probability that a single (non-mosaic) image keeps its scale and place.
        scale: (low, high) zoom, drawn log-uniformly.
        aspect: largest relative difference between horizontal and vertical zoom.
        flip: probability of a left-right flip.
        brightness: largest relative change of the gain.
        tint: largest relative change of the gain of one channel.
        contrast: largest relative change of the contrast around mid grey.
        saturation: largest relative change of the distance from grey.
        noise: largest standard deviation of the noise, in 0..1 intensity.
        plain: probability that an image gets no colour change and no noise.
        min_visible: least share of a box's area that must remain for it to stay a target.
        min_sides: least shorter and longer side in pixels of a target; the scene labels by the
            same rule.
        max_boxes: rows kept for each augmented image.
    """

    mosaic: float = 0.6
    untouched: float = 0.25
    scale: tuple[float, float] = (0.6, 1.6)
    aspect: float = 0.08
    flip: float = 0.5
    brightness: float = 0.3
    tint: float = 0.08
    contrast: float = 0.2
    saturation: float = 0.5
    noise: float = 0.03
    plain: float = 0.2
    min_visible: float = 0.3
    min_sides: tuple[float, float] = (4.0, 8.0)
    max_boxes: int = 160


FINAL_AUGMENT = AugmentConfig(
    mosaic=0.0,
    untouched=0.65,
    scale=(0.9, 1.12),
    aspect=0.03,
    brightness=0.15,
    tint=0.04,
    contrast=0.1,
    saturation=0.2,
    noise=0.01,
    plain=0.5,
)


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        network: what is trained.
        batch: images per step.
        optimizer: ``adamw`` or ``sgd`` (Nesterov momentum).
        lr: peak learning rate.
        final_lr: last learning rate as a share of ``lr``.
        weight_decay: decay of the convolution weights.
        momentum: SGD momentum, and Adam's first beta.
        warmup_steps: steps of linear warm-up.
        ema_decay: largest decay of the averaged weights.
        ema_ramp: steps over which that decay is approached.
        clip: largest gradient norm.
        mosaic_until: share of the schedule after which ``final_augment`` applies.
        seed: seed of initialisation, order and augmentation.
        image_size: side of the square input in pixels.
        anchor_loss: gains of YOLOv5n's loss.
        anchor_free_loss: gains of YOLOv8n's loss.
        augment: augmentation of the first part.
        final_augment: augmentation of the last part.
    """

    network: NetworkName = "yolov5n"
    batch: int = 128
    optimizer: str = "adamw"
    lr: float = 3e-3
    final_lr: float = 0.01
    weight_decay: float = 0.03
    momentum: float = 0.9
    warmup_steps: int = 500
    ema_decay: float = 0.9995
    ema_ramp: float = 1000.0
    clip: float = 10.0
    mosaic_until: float = 0.65
    seed: int = 0
    image_size: int = IMAGE_SIZE
    anchor_loss: AnchorLossConfig = field(default_factory=AnchorLossConfig)
    anchor_free_loss: AnchorFreeLossConfig = field(default_factory=AnchorFreeLossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    final_augment: AugmentConfig = FINAL_AUGMENT

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON-ready values."""
        return asdict(self)
