"""`keepbusy model-info`: what a model is, what it costs, and where a device's time goes in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.text import Text

from keepbusy.cli.options import DebugOption, FamilyOption, TaskOption
from keepbusy.cli.parse import parse_size
from keepbusy.terminal.console import open_console
from keepbusy.terminal.table import FigureTable
from keepbusy.texts import fit

if TYPE_CHECKING:
    from keepbusy.models.load import Model
    from keepbusy.values.forms import Family, Task

_ROWS_SHOWN = 12
_FITS = {
    "letterbox": "letterboxed, centred",
    "corner": "letterboxed, in the corner",
    "stretch": "stretched",
    "crop": "scaled to cover, and cut",
}


def model_info(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="OpenVINO IR (.xml) or ONNX file.")],
    device: Annotated[
        str, typer.Option("--device", "-d", metavar="DEVICE", help="For --profile: CPU, GPU, GPU.1, NPU.")
    ] = "CPU",
    imgsz: Annotated[
        str | None, typer.Option(metavar="N|HxW", help="Input size, for models that leave it open.")
    ] = None,
    family: FamilyOption = None,
    task: TaskOption = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Measure the time of each layer type on the device.")
    ] = False,
    inferences: Annotated[
        int, typer.Option(min=1, metavar="N", help="For --profile: how many to take the median of.")
    ] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    debug: DebugOption = False,
) -> None:
    """Tell what a model is: inputs, outputs, family, classes, operations, parameters.

    \b
    keepbusy model-info yolov5n.xml
    keepbusy model-info yolov5n.xml --profile -d CPU
    """
    import openvino

    from keepbusy.cli.models import find_model_with_progress
    from keepbusy.models import load_model

    core = openvino.Core()
    loaded = load_model(
        find_model_with_progress(model),
        imgsz=parse_size(imgsz),
        family=cast("Family | None", family),
        task=cast("Task | None", task),
        core=core,
    )
    info = _describe(loaded)
    if profile:
        info["profile"] = _profile(loaded, device, inferences, core)
    if as_json:
        print(json.dumps(info, indent=2))
        return
    _print(info)


def _describe(loaded: Model) -> dict[str, Any]:
    import dataclasses

    from keepbusy.bench.graph import METHOD, graph_cost
    from keepbusy.cli.option_names import with_options
    from keepbusy.models.prepare import prepare

    # The operations are those of the network alone: the preprocessing has no convolution, and so adds none.
    return {
        "model": str(loaded.path),
        "family": loaded.output.family,
        "task": loaded.output.task,
        "why": loaded.output.why,
        "doubt": with_options(loaded.output.doubt),
        "fit": loaded.input.fit,
        "head": _head(loaded),
        "num_classes": loaded.output.num_classes,
        "names": list(loaded.names),
        "inputs": [_port(port) for port in prepare(loaded).graph.inputs],
        "outputs": [_port(port) for port in loaded.graph.outputs],
        **dataclasses.asdict(graph_cost(loaded.graph)),
        "method": METHOD,
    }


def _head(loaded: Model) -> str:
    """What can be done with the head, in words."""
    from keepbusy.models.head import fixed_by, look_for_head

    if loaded.output.is_rewritten:
        return "rewritten by keepbusy optimize"
    head = look_for_head(loaded.graph, loaded.output, loaded.input_hw)
    if isinstance(head, str):
        return "as exported: its formula is not one that can be replaced" + (head and f": {head}")
    strides = ", ".join(str(level.stride_px) for level in head.levels)
    fixed = fixed_by(loaded.graph, head, loaded.input_hw, loaded.input.shape)
    shapes = f"keeps its input shape: {fixed}" if fixed else "takes any input shape"
    return f"can be replaced (strides {strides}); {shapes}"


def _port(port: Any) -> dict[str, Any]:
    return {
        "name": sorted(port.names)[0] if port.names else "",
        "shape": [int(axis.get_length()) if axis.is_static else -1 for axis in port.partial_shape],
        "type": port.element_type.get_type_name(),
    }


def _profile(loaded: Model, device: str, num_inferences: int, core: Any) -> dict[str, Any]:
    import dataclasses

    from keepbusy.bench.graph import COMPUTE_TYPES, LAYOUT_TYPES, layer_type_times, share_of
    from keepbusy.bench.windows import noise_in
    from keepbusy.config import DeviceConfig
    from keepbusy.device.engine import OpenVINODevice, infer_once
    from keepbusy.models.prepare import prepare

    compiled = OpenVINODevice(prepare(loaded), DeviceConfig(device=device), "sync", core, with_layer_times=True)
    request = compiled.create_request()

    def infer() -> list[tuple[str, str, float]]:
        infer_once(request, device, hint="try another device")
        return request.layer_times()

    with noise_in([request]):
        times = layer_type_times(infer, num_inferences)
    return {
        "device": device,
        "num_inferences": num_inferences,
        "layer_types": [dataclasses.asdict(one) for one in times],
        "compute_share": share_of(times, COMPUTE_TYPES),
        "layout_share": share_of(times, LAYOUT_TYPES),
    }


def _print(info: dict[str, Any]) -> None:
    console = open_console(highlight=False)
    table = FigureTable(show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_words("")

    def add(what: str, value: str) -> None:
        table.add_row(what, Text(fit(value)))

    add("model", info["model"])
    add("family", f"{info['family']}, {info['num_classes']} classes: {_some(info['names'])}")
    add("task", info["task"])
    add("concluded from", info["why"])
    if info["doubt"]:
        add("in doubt", info["doubt"])
    add("frames are", _FITS[info["fit"]])
    add("head", info["head"])
    for kind in ("inputs", "outputs"):
        for port in info[kind]:
            add(kind[:-1], f"{port['name']} {port['type']} {port['shape']}")
    weights = ", ".join(f"{name} {share:.0%}" for name, share in info["weight_types"].items())
    add("parameters", f"{info['num_parameters'] / 1e6:.2f} M, stored as {weights or 'none'}")
    add("operations", f"{info['gflops']:.2f} GFLOPs a picture ({info['method']})")
    add("layers", _some([f"{count} {kind}" for kind, count in info["layer_counts"].items()]))
    console.print(table)
    if "profile" in info:
        _print_profile(console, info["profile"], info["gflops"])


def _print_profile(console: Console, profile: dict[str, Any], gflops: float) -> None:
    rows = profile["layer_types"]
    total_ms = sum(row["ms"] for row in rows)
    table = FigureTable(f"layer type on {profile['device']}", header_style="dim")
    table.add_figures("layers", "ms", "share")
    for row in rows[:_ROWS_SHOWN]:
        table.add_row(row["layer_type"], str(row["num_layers"]), f"{row['ms']:.3f}", f"{row['share']:.1%}")
    console.print()
    console.print(table)
    console.print(
        f"{total_ms:.2f} ms an inference with counters on, median of {profile['num_inferences']}, one at a time; "
        f"{gflops / total_ms * 1e3 if total_ms else 0:.0f} GFLOPs/s. Convolutions and matrix products take "
        f"{profile['compute_share']:.1%}, moving numbers about (reorder, transpose, concat, split, reshape) "
        f"{profile['layout_share']:.1%}."
    )


def _some(items: list[str]) -> str:
    return ", ".join(items[:8]) + (f", ... ({len(items)})" if len(items) > 8 else "")
