"""Files that are there in full or not at all."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from keepbusy.sinks.naming import write_error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, then rename it into it: until then an earlier one stays.

    A link is followed. What is no ordinary file, such as a device, is written as it is.

    Raises:
        SinkError: It cannot be written.
    """
    place = Path(os.path.realpath(path))
    part = place.with_name(f".keepbusy-{os.getpid()}-{threading.get_ident()}.part")
    try:
        if place.exists() and not place.is_file():
            place.write_bytes(content)
            return
        part.write_bytes(content)
        part.replace(place)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise write_error(path, error) from error
