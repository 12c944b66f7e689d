"""Names of devices, against what this machine has."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from keepbusy.errors import DeviceError

if TYPE_CHECKING:
    import openvino as ov

log = logging.getLogger("keepbusy")


def usable_device(name: str, core: ov.Core) -> str:
    """A device's name without what this machine lacks: a list given to AUTO or MULTI is a wish.

    What is left out is reported.

    Raises:
        DeviceError: Nothing is left, or a device that is no wish does not exist.
    """
    virtual, separator, wanted = name.partition(":")
    parts = [part.strip() for part in wanted.split(",") if part.strip()]
    if virtual not in ("AUTO", "MULTI") or not parts:
        check_device(name, core)
        return name
    available = {"CPU", *core.available_devices, *(device.split(".")[0] for device in core.available_devices)}
    there = [part for part in parts if part.lstrip("-").split("(")[0] in available]
    is_excluding = all(part.startswith("-") for part in parts)
    missing = [part for part in parts if part not in there]
    if missing and not is_excluding and there and not all(part.startswith("-") for part in there):
        log.warning("device %s: %s not on this machine, and left out", name, ", ".join(missing))
    elif missing and not is_excluding:
        check_device(name, core)
    kept = f"{virtual}{separator}{','.join(there)}" if there else virtual
    check_device(kept, core)
    return kept


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
