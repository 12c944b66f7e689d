"""Render, train, evaluate and export with one command: ``python -m training.run``."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from training.config import NetworkName, Recipe

_BEGUN = time.monotonic()


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument(
        "--network",
        choices=get_args(NetworkName),
        default=Recipe.network,
        help="what to train; finish takes the checkpoint's",
    )
    parser.add_argument("--data", type=Path, help="folder of the frames (default: OUT/data)")
    parser.add_argument(
        "--stage",
        choices=("all", "render", "train", "finish"),
        default="all",
        help="train also renders; finish exports and evaluates",
    )
    parser.add_argument("--train-seeds", type=int, default=6000, help="training scenes")
    parser.add_argument("--frames-per-seed", type=int, default=4)
    parser.add_argument("--val-seeds", type=int, default=300, help="validation scenes, 2 frames")
    parser.add_argument("--workers", type=int, help="rendering processes (default: all cores)")
    parser.add_argument("--resume", type=Path, help="folder of a checkpoint to go on from")
    parser.add_argument("--steps", type=int, default=0, help="pace the schedule by steps")
    parser.add_argument(
        "--max-minutes",
        type=float,
        default=0.0,
        help="minutes of this call, rendering included; paces the schedule unless --steps is given",
    )
    parser.add_argument("--until", type=float, default=1.0, help="progress (0..1) this call reaches at its end")
    parser.add_argument("--batch", type=int, default=Recipe.batch)
    parser.add_argument("--optimizer", choices=("adamw", "sgd"), default=Recipe.optimizer)
    parser.add_argument("--lr", type=float, default=Recipe.lr)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--compile", action="store_true", help="try torch.compile")
    parser.add_argument("--device", help="PyTorch device (default: cuda when there is one)")
    return parser.parse_args(argv)


def _render(args: argparse.Namespace, data: Path) -> None:
    from training.render import render, train_split, val_split

    render(data / "val", val_split(args.val_seeds), args.workers)
    if args.stage == "finish":
        return
    render(data / "train", train_split(args.train_seeds, args.frames_per_seed), args.workers)


def _train(args: argparse.Namespace, data: Path) -> None:
    import torch

    from training.data import FrameSet
    from training.train import Pace, Trainer, validate

    if not args.steps and not args.max_minutes:
        args.steps = 23_020
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    recipe = replace(
        Recipe(), network=args.network, batch=args.batch, optimizer=args.optimizer, lr=args.lr, seed=args.seed
    )
    train = FrameSet.load(data / "train", device)
    val = FrameSet.load(data / "val", device)
    trainer = Trainer(recipe, train, args.out, args.resume, args.compile)
    spent = time.monotonic() - _BEGUN
    # The reserve covers the last checkpoint and the closing validation.
    left = max(1.0, args.max_minutes * 60 - spent - 8) if args.max_minutes else 0.0
    print(f"train: {len(train)} frames on {device}, ready after {spent:.0f} s", file=sys.stderr)
    trainer.run(Pace(args.steps, left, args.until))
    trainer.model.load_state_dict(trainer.average.values)
    parts = zip(trainer.loss.parts, validate(trainer.model, val, trainer.loss), strict=True)
    print("\nvalidation: " + " ".join(f"{n} {v:.4f}" for n, v in parts), file=sys.stderr)


def _evaluate(args: argparse.Namespace, data: Path, xml: Path) -> dict[str, Any]:
    from training import evaluate as ev

    if not ev.available():
        print("evaluate: faster-coco-eval is not installed, left out", file=sys.stderr)
        return {}
    metrics = ev.evaluate(*ev.openvino_predictor(xml), data / "val")
    ev.write_results(metrics, f"{xml.stem} (OpenVINO IR, fp16 weights)", args.out)
    print((args.out / "results.md").read_text())
    return metrics


def _export(args: argparse.Namespace, data: Path, metrics: dict[str, Any]) -> Path:
    import numpy as np

    from training.export import export

    images = np.load(data / "val" / "images.npy", mmap_mode="r")[:4]
    frames = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
    return export(args.out, args.out, metrics, frames)


def main(argv: list[str] | None = None) -> None:
    """Run the chosen stages."""
    args = parse(argv)
    data = args.data or args.out / "data"
    _render(args, data)
    if args.stage in ("all", "train"):
        _train(args, data)
    if args.stage in ("all", "finish"):
        metrics = _evaluate(args, data, _export(args, data, {}))
        if metrics:
            _export(args, data, metrics)  # again, with the measured metrics in the metadata


if __name__ == "__main__":
    main()
