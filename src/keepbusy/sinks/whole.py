"""Files that are there in full or not at all."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from keepbusy.sinks.naming import write_error


def write_whole(path: Path, content: bytes, *, follows_link: bool = True) -> None:
    """Write a file beside its place, then rename it into it: until then an earlier one stays.

    What is no ordinary file, such as a device, is written as it is.

    Args:
        path: The file.
        content: Its bytes.
        follows_link: Whether a link stays and what it leads to is written, as where the user named it; otherwise the
            file takes the link's place.

    Raises:
        SinkError: It cannot be written.
    """
    place = Path(os.path.realpath(path)) if follows_link else path
    part = place.with_name(f".keepbusy-{os.getpid()}-{threading.get_ident()}.part")
    try:
        if follows_link and os.path.exists(place) and not os.path.isfile(place):
            place.write_bytes(content)
            return
        part.write_bytes(content)
        part.replace(place)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise write_error(path, error) from error
