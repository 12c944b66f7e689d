"""Whether speed costs accuracy: COCO's mAP of every head, shape and number type, against the graph as exported.

    python benchmarks/accuracy.py MODEL DATA [--device D] [--limit N]

DATA is what `keepbusy eval --data` takes. All rows count each box's best class only, as `keepbusy detect` does, except
the last ones, which count every class, as evaluations do: there the tail is ruled out. The figures are exact: nothing
here is a timing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROWS: tuple[tuple[str, str, str | None, bool], ...] = (
    ("stock", "square", "f32", True),
    ("host", "square", "f32", True),
    ("tail", "square", "f32", True),
    ("tail", "rect", "f32", True),
    ("stock", "square", None, True),
    ("tail", "square", None, True),
    ("tail", "rect", None, True),
    ("stock", "square", "f32", False),
    ("host", "square", "f32", False),
    ("host", "rect", "f32", False),
    ("host", "rect", None, False),
)
"""Head, shape, precision (None: the device's own choice), and whether only the best class counts."""


def main() -> None:
    """Evaluate each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    print("| head | shape | number type | labels a box | mAP50-95 | to as exported, points | mAP50 |")
    print("| --- | --- | --- | --- | ---: | ---: | ---: |")
    first: dict[bool, float] = {}
    for head, shape, precision, is_single in ROWS:
        scores = _evaluate(options, head, shape, precision, is_single)
        mean = scores["map50_95"]
        base = first.setdefault(is_single, mean)
        print(
            f"| {head} | {shape} | {precision or scores['settings']['precision']} | {'best' if is_single else 'all'} "
            f"| {mean:.4f} | {(mean - base) * 100:+.2f} | {scores['map50']:.4f} |",
            flush=True,
        )


def _evaluate(
    options: argparse.Namespace, head: str, shape: str, precision: str | None, is_single: bool
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scores.json"
        command = [sys.executable, "-m", "keepbusy", "eval", "-m", options.model, "--data", options.data, "-q"]
        command += ["-d", options.device, "--head", head, "--shape", shape, "--json", str(out)]
        command += ["--precision", precision] if precision else []
        command += ["--single-label"] if is_single else []
        command += ["--limit", str(options.limit)] if options.limit else []
        subprocess.run(command, check=True)
        content: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    main()
