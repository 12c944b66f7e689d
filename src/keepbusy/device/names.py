"""Names of devices, against what this machine has. Asking loads their plugins: signals are handled as before."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from keepbusy.errors import DeviceError
from keepbusy.threads.signal_stack import kept_signal_stack

if TYPE_CHECKING:
    import openvino as ov

log = logging.getLogger("keepbusy")


SINGLE = frozenset({"CPU", "GPU", "NPU"})
"""The devices that OpenVINO has, whether or not this machine has them."""


@kept_signal_stack()
def available_devices(core: ov.Core) -> list[str]:
    """The names of this machine's devices, as OpenVINO has them."""
    return list(core.available_devices)


@kept_signal_stack()
def usable_device(name: str, core: ov.Core) -> str:
    """A device's name without what this machine lacks: a list given to AUTO or MULTI is a wish.

    What is left out is reported. Letter case makes no difference.

    Raises:
        DeviceError: Nothing is left, a device that is no wish does not exist, or a name is none of a device.
    """
    available = {"CPU", *core.available_devices, *(device.split(".")[0] for device in core.available_devices)}
    if name not in available:
        name = name.upper()
    virtual, separator, wanted = name.partition(":")
    parts = [part.strip() for part in wanted.split(",") if part.strip()]
    if virtual not in ("AUTO", "MULTI") or not parts:
        check_device(name, core)
        return name
    for part in parts:
        if _kind(part) not in SINGLE | available:
            check_device(f"{virtual}:{part}", core)
    there = [part for part in parts if part.lstrip("-").split("(")[0] in available]
    missing = [part for part in parts if part not in there]
    is_excluding = all(part.startswith("-") for part in parts)
    if is_excluding:
        excluded = {part.lstrip("-") for part in there}
        if all(device in excluded or device.split(".")[0] in excluded for device in core.available_devices):
            raise DeviceError(
                f"device {name}: no device is left on this machine",
                hint=f"available: {', '.join(core.available_devices)}",
            )
    elif missing and all(part.startswith("-") for part in there):
        check_device(name, core)
    elif missing:
        log.warning("device %s: %s not on this machine, and left out", name, ", ".join(missing))
    kept = f"{virtual}{separator}{','.join(there)}" if there else virtual
    check_device(kept, core)
    return kept


@kept_signal_stack()
def full_device_name(name: str, core: ov.Core) -> str:
    """What a device calls itself, such as the processor's model; its short name where it does not say."""
    try:
        return str(core.get_property(name, "FULL_DEVICE_NAME"))
    except RuntimeError:
        return name


def _kind(part: str) -> str:
    """`-GPU.1(4)` → `GPU`."""
    return part.lstrip("-").split("(")[0].split(".")[0]


@kept_signal_stack()
def check_device(name: str, core: ov.Core) -> None:
    """See that every device in a name like `AUTO:GPU,CPU` exists.

    Raises:
        DeviceError: One does not.
    """
    available = list(core.available_devices)
    known = {*available, *(device.split(".")[0] for device in available), "AUTO", "HETERO", "MULTI", "BATCH"}
    virtual, _, wanted = name.partition(":")
    parts = [virtual, *(part.strip().lstrip("-") for part in wanted.split(",") if part.strip())]
    for part in parts:
        if part.split("(")[0] not in known:
            raise DeviceError(
                f"device {name}: there is no {part} on this machine",
                hint=f"available: {', '.join(available)}; `keepbusy devices` says what may be missing",
            )
