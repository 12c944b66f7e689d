"""The networks that the recipe trains: how each is built, judged and described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from torch import Tensor

from keepbusy.street import CLASS_NAMES
from keepbusy.values.forms import OutputForm
from training.config import NetworkName, Recipe
from training.layers import Detector
from training.yolov5n import AnchorLoss, YoloV5n
from training.yolov8n import AnchorFreeLoss, YoloV8n


class Loss(Protocol):
    """What a network is trained by.

    Attributes:
        parts: names of the four numbers beside the total.
    """

    parts: tuple[str, str, str, str]

    def __call__(self, raw: list[Tensor], targets: Tensor, ignore: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the scalar to minimise and detached float [4] parts of it."""
        ...


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        name: as on the command line; files are called after it.
        title: for people.
        model_type: for ``model_info``.
        form: what the exported output is.
        build: makes one with random weights.
        loss: makes its loss.
        rows: exported output float [1, ...] -> float [R, values], boxes first.
        confidence: these rows -> float [R], how sure each is that it shows anything.
    """

    name: NetworkName
    title: str
    model_type: str
    form: OutputForm
    build: Callable[[], Detector]
    loss: Callable[[Recipe, Detector], Loss]
    rows: Callable[[np.ndarray], np.ndarray]
    confidence: Callable[[np.ndarray], np.ndarray]

    @property
    def file_name(self) -> str:
        """The exported files' name without suffix."""
        return f"street-{self.name}"


NETWORKS: dict[NetworkName, Network] = {
    "yolov5n": Network(
        name="yolov5n",
        title="YOLOv5n (width 0.25, depth 0.33)",
        model_type="YOLOv5",
        form=OutputForm("yolov5", "detect", (0,), len(CLASS_NAMES)),
        build=YoloV5n,
        loss=lambda recipe, model: AnchorLoss(recipe.anchor_loss, cast(YoloV5n, model)),
        rows=lambda output: output[0],
        confidence=lambda rows: rows[:, 4],
    ),
    "yolov8n": Network(
        name="yolov8n",
        title="YOLOv8n (width 0.25, depth 0.33)",
        model_type="YOLOv8",
        form=OutputForm("yolov8", "detect", (0,), len(CLASS_NAMES)),
        build=YoloV8n,
        loss=lambda recipe, model: AnchorFreeLoss(recipe.anchor_free_loss, cast(YoloV8n, model)),
        rows=lambda output: output[0].T,
        confidence=lambda rows: rows[:, 4:].max(1),
    ),
}


def network_of(state: dict[str, Any]) -> Network:
    """Tell what a checkpoint holds, by its state; older ones do not say and hold YOLOv5n."""
    return NETWORKS[state.get("recipe", {}).get("network", "yolov5n")]
