"""Export a checkpoint's averaged weights as OpenVINO IR with fp16 weights."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from openvino.passes import ConstantFolding, Manager

from keepbusy.street import CLASS_NAMES
from training.checkpoint import load_average
from training.config import IMAGE_SIZE
from training.layers import Decoded, Detector, fold_batch_norm
from training.networks import Network, network_of

INFO = "model_info"


def convert(model: Detector, size: int = IMAGE_SIZE) -> ov.Model:
    """Convert a model to OpenVINO: ``images`` [1, 3, S, S] to ``output``, what its ``decode`` gives.

    The model's batch normalisations are folded in place.
    """
    decoded = Decoded(model).eval()
    fold_batch_norm(model)
    shape = [1, 3, size, size]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # OpenVINO traces by torch.jit
        decoder = TorchScriptPythonDecoder(decoded, example_input=torch.zeros(shape))
    # The frontend itself rather than ov.convert_model, which starts telemetry threads.
    frontend = FrontEndManager().load_by_framework("pytorch")
    converted = frontend.convert(frontend.load(decoder))
    converted.reshape(shape)
    folding = Manager()
    folding.register_pass(ConstantFolding())
    folding.run_passes(converted)
    converted.inputs[0].get_tensor().set_names({"images"})
    converted.inputs[0].get_node().set_friendly_name("images")
    converted.outputs[0].get_tensor().set_names({"output"})
    converted.outputs[0].get_node().set_friendly_name("output")
    converted.validate_nodes_and_infer_types()
    return converted


def describe(converted: ov.Model, network: Network, state: dict[str, Any], metrics: dict[str, Any]) -> None:
    """Write the metadata under ``model_info`` of the model's runtime information."""
    recipe = state.get("recipe", {})
    summary = {
        "architecture": f"{network.title}, trained from scratch",
        "steps": state.get("step"),
        "training_seconds": round(float(state.get("seconds", 0)), 1),
        "train_frames": state.get("train_frames"),
        **{k: recipe.get(k) for k in ("batch", "optimizer", "lr", "weight_decay", "seed")},
    }
    height, width = converted.inputs[0].shape[2], converted.inputs[0].shape[3]
    info = {
        "model_type": network.model_type,
        "labels": " ".join(name.replace(" ", "_") for name in CLASS_NAMES),
        "names": json.dumps(list(CLASS_NAMES)),
        "stride": "32",
        "imgsz": f"{height} {width}",
        "recipe": json.dumps(summary),
        "metrics": json.dumps({k: metrics.get(k) for k in ("map50_95", "map50", "frames")}),
        "license": "Apache-2.0",
    }
    for key, value in info.items():
        converted.set_rt_info(value, [INFO, key])


def compare(xml: Path, model: Detector, network: Network, frames: np.ndarray) -> float:
    """Return the largest difference between IR and PyTorch, relative to the value plus one.

    Every row's confidence counts, the other values only where either confidence exceeds 0.001:
    the boxes of rows that say "nothing here" are never used, and fp16 weights move them freely.

    Args:
        xml: the saved model.
        model: the PyTorch model.
        network: what it is.
        frames: float32 [F, 3, S, S], RGB 0..1.
    """
    compiled = ov.Core().compile_model(xml, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    decoded, worst = Decoded(model.eval()), 0.0
    for frame in frames:
        with torch.inference_mode():
            wanted = network.rows(decoded(torch.from_numpy(frame[None])).numpy())
        got = network.rows(compiled(frame[None])[0])
        error = np.abs(got - wanted) / (np.abs(wanted) + 1)
        sure = [network.confidence(rows) for rows in (got, wanted)]
        used = np.maximum(*sure) > 1e-3
        worst = max(worst, float(np.abs(sure[0] - sure[1]).max()), float(error[used].max(initial=0)))
    return worst


def export(checkpoint: Path, out: Path, metrics: dict[str, Any], frames: np.ndarray | None = None) -> Path:
    """Write the network's ``street-NAME.xml`` and ``.bin`` into a folder and check them.

    Args:
        checkpoint: folder of a checkpoint.
        out: folder to write into.
        metrics: map50_95, map50 and frames for the metadata.
        frames: float32 [F, 3, S, S] RGB 0..1 to compare on; random when absent.

    Returns:
        The path of the xml file.

    Raises:
        RuntimeError: the exported model differs from the PyTorch model.
    """
    model, state = load_average(checkpoint)
    network = network_of(state)
    converted = convert(model)
    describe(converted, network, state, metrics)
    out.mkdir(parents=True, exist_ok=True)
    xml = out / f"{network.file_name}.xml"
    ov.save_model(converted, xml, compress_to_fp16=True)
    if frames is None:
        frames = np.random.default_rng(0).random((1, 3, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    worst = compare(xml, load_average(checkpoint)[0], network, frames)
    size = sum(xml.with_suffix(s).stat().st_size for s in (".xml", ".bin")) / 2**20
    print(f"export: {xml}, {size:.2f} MiB, difference {worst:.2g}", file=sys.stderr)
    if not worst <= 0.05:
        raise RuntimeError(f"the exported model differs from the checkpoint by {worst:.3g}")
    return xml


def main() -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="folder of a checkpoint")
    parser.add_argument("--out", type=Path, default=Path("build/training"))
    parser.add_argument("--results", type=Path, help="results.json to record in the metadata")
    args = parser.parse_args()
    metrics = json.loads(args.results.read_text()) if args.results else {}
    export(args.checkpoint, args.out, metrics)


if __name__ == "__main__":
    main()
