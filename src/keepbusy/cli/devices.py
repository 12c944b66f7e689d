"""`keepbusy devices`: what this machine has, and what it lacks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from keepbusy.cli.options import AsJsonOption, DebugOption
from keepbusy.terminal.console import open_console
from keepbusy.terminal.table import FigureTable
from keepbusy.texts import fit
from keepbusy.threads.signal_stack import kept_signal_stack

_GPU_HINT = (
    "An Intel GPU is present, but OpenVINO cannot use it: install Intel's compute runtime (Debian and Ubuntu: "
    "intel-opencl-icd and libze1) and add yourself to the groups render and video."
)
_NPU_HINT = (
    "An Intel NPU is present, but OpenVINO cannot use it: install Intel's NPU driver for Linux "
    "(intel-level-zero-npu, intel-driver-compiler-npu) and add yourself to the group render."
)
_NO_GPU = "GPU: none seen. With one: install its driver (Debian and Ubuntu: intel-opencl-icd and libze1)."
_NO_NPU = "NPU: none seen. With one (Core Ultra): install Intel's NPU driver and see that /dev/accel exists."

_INTEL_VENDOR = "0x8086"


def devices(
    decode: Annotated[
        Path | None,
        typer.Option(
            metavar="VIDEO",
            help="Decode this video of H.264 or H.265 with each decoder, and tell how fast that is, what it costs, and "
            "whether the pictures are the same.",
        ),
    ] = None,
    as_json: AsJsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the devices that OpenVINO can use here, with full names and capabilities, and the hardware decoders.

    The names in the first column are what --device takes; AUTO:GPU,CPU picks the first that works.

    \b
    keepbusy devices
    keepbusy devices --decode clip.mp4
    """
    if decode is not None:
        _show_decoders(decode, as_json=as_json)
        return
    import openvino

    from keepbusy.device.names import available_devices

    core = openvino.Core()
    found = [_describe(core, name) for name in available_devices(core)]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = FigureTable("device", title=f"OpenVINO {openvino.__version__}", title_justify="left")
    table.add_words("name")
    table.add_words("capabilities")
    table.add_figures("streams")
    for device in found:
        table.add_row(
            device["device"],
            device["full_name"],
            " ".join(device["capabilities"]),
            device["streams"],
        )
    open_console().print(table)
    from keepbusy.sources.decoding.compare import available_decoders

    for name, where in available_decoders():
        open_console(stderr=True).print(f"decoder {name}: {where}", highlight=False, markup=False)
    for line in missing_drivers([device["device"] for device in found]):
        open_console(stderr=True).print(line, highlight=False)


def _show_decoders(path: Path, *, as_json: bool) -> None:
    from keepbusy.sources.decoding.compare import WITHOUT_HARDWARE, compare_decoders

    found = compare_decoders(path)
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
        return
    table = FigureTable("decoder", title=f"Decoders, {fit(path.name)}", title_justify="left")
    for name in ("pictures/s", "CPU ms/picture", "pictures"):
        table.add_figures(name)
    table.add_words("same pictures")
    for one in found:
        figures = ["", "", ""] if one.reason else [f"{one.fps:.0f}", f"{one.cpu_ms:.2f}", str(one.num_pictures)]
        same = {True: "yes", False: "NO", None: ""}[one.agrees]
        name = "ffmpeg, no hardware" if one.decoder == WITHOUT_HARDWARE else one.decoder
        table.add_row(name, *figures, one.reason or same)
    open_console().print(table)


def missing_drivers(available: list[str], sysfs: Path = Path("/sys/class")) -> list[str]:
    """What to install for devices that OpenVINO does not see.

    Args:
        available: The devices that it sees.
        sysfs: Where Linux tells of its devices.
    """
    kinds = {name.split(".")[0] for name in available}
    lines: list[str] = []
    if "GPU" not in kinds:
        lines.append(_GPU_HINT if _has_intel(sysfs / "drm", "card*") else _NO_GPU)
    if "NPU" not in kinds:
        lines.append(_NPU_HINT if _has_intel(sysfs / "accel", "accel*") else _NO_NPU)
    return lines


def _has_intel(folder: Path, pattern: str) -> bool:
    for vendor in folder.glob(f"{pattern}/device/vendor"):
        try:
            if vendor.read_text().strip() == _INTEL_VENDOR:
                return True
        except OSError:
            continue
    return False


@kept_signal_stack()
def _describe(core: Any, name: str) -> dict[str, Any]:
    def read(key: str) -> Any:
        try:
            return core.get_property(name, key)
        except RuntimeError:
            return None

    streams = read("RANGE_FOR_STREAMS")
    return {
        "device": name,
        "full_name": str(read("FULL_DEVICE_NAME") or ""),
        "capabilities": sorted(str(item) for item in read("OPTIMIZATION_CAPABILITIES") or []),
        "streams": f"{streams[0]} to {streams[1]}" if streams else "",
    }
