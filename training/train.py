"""The training loop."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from training.checkpoint import Average, restore, save
from training.config import Recipe
from training.data import FrameSet, Sampler
from training.layers import Detector
from training.networks import NETWORKS, Loss

Forward = Callable[[Tensor], list[Tensor]]
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass
class Pace:
    """How far the schedule is: by steps, or by time when ``seconds`` is given.

    Attributes:
        steps: steps of the whole run (0: paced by time).
        seconds: training time of this call.
        until: progress in 0..1 that this call reaches when its time ends.
        start: progress at which this call started.
    """

    steps: int = 0
    seconds: float = 0.0
    until: float = 1.0
    start: float = 0.0

    def __post_init__(self) -> None:
        if self.steps <= 0 and self.seconds <= 0:
            raise ValueError("a run needs a number of steps or a time")

    def progress(self, step: int, elapsed: float) -> float:
        """Return the schedule's progress before ``step`` after ``elapsed`` seconds of training."""
        if self.steps:
            return min(1.0, step / self.steps)
        return self.start + (self.until - self.start) * min(1.0, elapsed / self.seconds)

    def over(self, progress: float, elapsed: float) -> bool:
        """Tell whether this call is done."""
        goal = 1.0 if self.steps else self.until
        return progress >= goal or bool(self.seconds and elapsed >= self.seconds)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build AdamW or Nesterov SGD; only convolution weights decay."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    fused = decayed[0].is_cuda
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, recipe.lr, betas=(recipe.momentum, 0.999), fused=fused)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, recipe.lr, recipe.momentum, nesterov=True, fused=fused)
    raise ValueError(f"unknown optimizer {recipe.optimizer!r}")


def learning_rate(recipe: Recipe, step: int, progress: float) -> float:
    """Cosine annealing (Loshchilov & Hutter, 2017) after a linear warm-up."""
    share = recipe.final_lr + (1 - recipe.final_lr) * (1 + math.cos(math.pi * progress)) / 2
    return recipe.lr * share * min(1.0, (step + 1) / max(1, recipe.warmup_steps))


@contextmanager
def _precision(device: torch.device) -> Iterator[None]:
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        yield


def _compiled(what: str, plain: _Function, check: Callable[[_Function], None]) -> _Function:
    """Compile a function; return the plain one when that fails or ``check`` raises."""
    try:
        fast = cast(_Function, torch.compile(plain, dynamic=False))
        check(fast)
    except Exception as error:
        print(f"train: the {what} stays uncompiled: {error!r:.400}", file=sys.stderr)
        return plain
    return fast


def _must_agree(got: Tensor, wanted: Tensor, limit: float) -> None:
    """Raise when the mean difference exceeds a share of the mean size."""
    got, wanted = got.detach().float(), wanted.detach().float()
    share = float((got - wanted).abs().mean() / wanted.abs().mean().clamp(min=1e-12))
    if not share <= limit:
        raise ArithmeticError(f"the compiled result differs by {share:.3g}")


@torch.no_grad()
def validate(model: Detector, data: FrameSet, loss: Loss, batch: int = 50) -> list[float]:
    """Return the means of the loss's parts over a split (see ``Loss.parts``)."""
    model.eval()
    parts = []
    for start in range(0, len(data), batch):
        images, labels = data.plain(start, start + batch)
        with _precision(data.device):
            raw = model(images.contiguous(memory_format=torch.channels_last))
        parts.append(loss(raw, labels)[1])
    return torch.stack(parts).mean(0).tolist()


class Trainer:
    """A run on one data set.

    Args:
        recipe: every setting of the run.
        data: the training frames, on the device to use.
        out: folder of the checkpoint and of ``log.jsonl``.
        resume: folder of a checkpoint to go on from.
        compile_model: whether to try ``torch.compile``.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: FrameSet,
        out: Path,
        resume: Path | None = None,
        compile_model: bool = False,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.data, self.out = recipe, data, out
        network = NETWORKS[recipe.network]
        self.model = network.build().to(data.device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.model, recipe)
        self.average = Average(self.model, recipe.ema_decay, recipe.ema_ramp)
        self.loss = network.loss(recipe, self.model)
        self.sampler = Sampler(data, recipe.batch, recipe.seed)
        self.step, self.progress, self.seconds = 0, 0.0, 0.0
        if resume is not None:
            state = restore(resume, self.model, self.average, self.optimizer)
            self.step, self.progress = int(state["step"]), float(state["progress"])
            self.seconds = float(state["seconds"])
        self.forward: Forward = self.model
        self.criterion: Callable[..., tuple[Tensor, Tensor]] = self.loss
        if compile_model:
            self._compile()

    def _compile(self) -> None:
        """Compile augmentation, network and loss, each only if it agrees with the plain one."""
        augment, layout = self.recipe.augment, torch.channels_last
        images, targets, ignore = self.sampler.draw(self.step, augment)
        images = images.contiguous(memory_format=layout)

        def draws(fast: Callable[..., Tensor]) -> None:
            self.sampler.pixels = fast
            _must_agree(self.sampler.draw(self.step, augment)[0], images, 2e-3)

        self.sampler.pixels = _compiled("augmentation", self.sampler.pixels, draws)

        kept = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.train()
        with torch.no_grad(), _precision(self.data.device):
            raw = [m.detach() for m in self.model(images)]

        def predicts(fast: Forward) -> None:
            with _precision(self.data.device):
                maps = fast(images)
            torch.stack([m.float().mean() for m in maps]).sum().backward()  # type: ignore[no-untyped-call]
            for got, wanted in zip(maps, raw, strict=True):
                _must_agree(got, wanted, 0.05)

        self.forward = _compiled("network", self.model, predicts)
        self.model.zero_grad(set_to_none=True)
        self.model.load_state_dict(kept)

        def slopes(criterion: Callable[..., tuple[Tensor, Tensor]]) -> list[Tensor]:
            maps = [m.clone().requires_grad_() for m in raw]
            total = criterion(maps, targets, ignore)[0]
            return [total.detach(), *torch.autograd.grad(total, maps)]

        def judges(fast: Callable[..., tuple[Tensor, Tensor]]) -> None:
            for got, wanted in zip(slopes(fast), slopes(self.loss), strict=True):
                _must_agree(got, wanted, 0.02)

        self.criterion = _compiled("loss", self.loss.__call__, judges)

    def train_step(self, lr: float, final: bool) -> Tensor:
        """Do one step and return the detached float [4] parts of the loss."""
        augment = self.recipe.final_augment if final else self.recipe.augment
        images, targets, ignore = self.sampler.draw(self.step, augment)
        with _precision(self.data.device):
            raw = self.forward(images.contiguous(memory_format=torch.channels_last))
        total, parts = self.criterion(raw, targets, ignore)
        # Times the batch, so that SGD's learning rate and the clip mean what they do for YOLOv5.
        (total * self.recipe.batch).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.average.update(self.step)
        return parts

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "step": self.step,
            "progress": self.progress,
            "seconds": self.seconds,
            "train_frames": len(self.data),
            "torch": torch.__version__,
            "recipe": self.recipe.as_dict(),
        }
        save(self.out, self.model, self.average, self.optimizer, state)

    def run(self, pace: Pace, log_every: int = 25, save_every: float = 120.0) -> list[list[float]]:
        """Train until the pace says stop, then write the checkpoint.

        Args:
            pace: schedule of this call; its start is set to the present progress.
            log_every: steps between lines of the log.
            save_every: seconds between checkpoints.

        Returns:
            For each line of the log, the means of the loss's parts since the last.
        """
        pace.start = self.progress
        begun = last = saved = time.monotonic()
        before, recent, history = self.seconds, [], []
        self.out.mkdir(parents=True, exist_ok=True)
        self.model.train()
        with (self.out / "log.jsonl").open("a") as log:
            while True:
                elapsed = time.monotonic() - begun
                self.progress = pace.progress(self.step, elapsed)
                if pace.over(self.progress, elapsed):
                    break
                lr = learning_rate(self.recipe, self.step, self.progress)
                recent.append(self.train_step(lr, self.progress >= self.recipe.mosaic_until))
                if len(recent) < log_every:
                    continue
                means = torch.stack(recent).mean(0).tolist()
                now = time.monotonic()
                rate = len(recent) * self.recipe.batch / (now - last)
                self._report(log, lr=lr, rate=rate, means=means, pace=pace, elapsed=now - begun)
                history.append(means)
                recent, last = [], now
                if not all(map(math.isfinite, means)):
                    raise FloatingPointError(f"the loss is not finite at step {self.step}")
                self.seconds = before + now - begun
                if now - saved > save_every:
                    self.save()
                    saved = last = time.monotonic()
        self.seconds = before + time.monotonic() - begun
        self.save()
        return history

    def _report(self, log: Any, *, lr: float, rate: float, means: list[float], pace: Pace, elapsed: float) -> None:
        done = self.progress - pace.start
        goal = 1.0 if pace.steps else pace.until
        eta = elapsed * (goal - self.progress) / done if done > 0 else float("nan")
        epoch = self.step / self.sampler.steps_per_epoch
        names = self.loss.parts
        line = {"step": self.step, "progress": round(self.progress, 4), "lr": lr, "rate": rate}
        log.write(json.dumps({**line, **dict(zip(names, means, strict=True))}) + "\n")
        log.flush()
        text = (
            f"train: step {self.step} epoch {epoch:.2f} {rate:.0f} img/s "
            + " ".join(f"{n} {v:.4f}" for n, v in zip(names, means, strict=True))
            + f" lr {lr:.5f} eta {eta:.0f}s"
        )
        live = sys.stderr.isatty()
        often = live or self.step % 500 < 25
        if often:
            print(("\r\x1b[K" if live else "") + text, end="" if live else "\n", file=sys.stderr)
            sys.stderr.flush()
