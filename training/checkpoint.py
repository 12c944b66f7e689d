"""Checkpoints in small files: weights, averaged weights and the optimiser's moments apart."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.layers import Detector
from training.networks import network_of

_STATE = "state.json"


class Average:
    """Exponential moving average of a model's weights and statistics.

    The decay of update t is ``decay * (1 - exp(-t / ramp))``, so early weights fade quickly.

    Args:
        model: the model to follow.
        decay: largest decay.
        ramp: updates over which it is approached.
    """

    def __init__(self, model: nn.Module, decay: float, ramp: float) -> None:
        self.decay, self.ramp = decay, ramp
        state = model.state_dict()
        self.values = {k: v.detach().clone() for k, v in state.items()}
        moving = [k for k, v in state.items() if v.is_floating_point()]
        self._to = [self.values[k] for k in moving]
        self._from = [state[k].detach() for k in moving]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Blend in the weights after optimiser step number ``step`` (1 for the first)."""
        keep = self.decay * (1 - math.exp(-step / self.ramp))
        torch._foreach_lerp_(self._to, self._from, 1 - keep)


def _halves(moments: dict[int, dict[str, Any]], name: str) -> dict[int, Tensor]:
    return {k: v[name].cpu() for k, v in moments.items() if isinstance(v.get(name), Tensor)}


def save(
    folder: Path,
    model: nn.Module,
    average: Average,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
) -> None:
    """Write a checkpoint; every file stays below 15 MiB.

    ``ema.pt`` and ``model.pt`` hold weights, ``moments1.pt`` and ``moments2.pt`` the optimiser's
    moments, ``state.json`` the step, the progress and the recipe.

    Args:
        folder: where to write.
        model: the trained model.
        average: its averaged weights.
        optimizer: AdamW or SGD.
        state: JSON-ready values; must hold ``step`` and ``progress``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    moments = optimizer.state_dict()["state"]
    files = {
        "ema.pt": {k: v.cpu() for k, v in average.values.items()},
        "model.pt": {k: v.cpu() for k, v in model.state_dict().items()},
        "moments1.pt": {n: _halves(moments, n) for n in ("exp_avg", "momentum_buffer", "step")},
        "moments2.pt": {"exp_avg_sq": _halves(moments, "exp_avg_sq")},
    }
    for name, content in files.items():
        torch.save(content, folder / f"{name}.part")
        (folder / f"{name}.part").replace(folder / name)
    (folder / _STATE).write_text(json.dumps(state, indent=1))


def restore(folder: Path, model: nn.Module, average: Average, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Load what ``save`` wrote into a model, its average and its optimiser; return the state.

    Raises:
        RuntimeError: the checkpoint is of another network.
    """
    state: dict[str, Any] = json.loads((folder / _STATE).read_text())
    model.load_state_dict(torch.load(folder / "model.pt", map_location="cpu"))
    for key, value in torch.load(folder / "ema.pt", map_location="cpu").items():
        average.values[key].copy_(value)
    joined: dict[int, dict[str, Tensor]] = {}
    for name in ("moments1.pt", "moments2.pt"):
        for kind, values in torch.load(folder / name, map_location="cpu").items():
            for index, value in values.items():
                joined.setdefault(index, {})[kind] = value
    full = optimizer.state_dict()
    optimizer.load_state_dict({"state": joined, "param_groups": full["param_groups"]})
    return state


def load_average(folder: Path) -> tuple[Detector, dict[str, Any]]:
    """Build the averaged model of a checkpoint, ready for inference, with the run's state."""
    state: dict[str, Any] = json.loads((folder / _STATE).read_text())
    model = network_of(state).build()
    model.load_state_dict(torch.load(folder / "ema.pt", map_location="cpu"))
    return model.eval(), state
