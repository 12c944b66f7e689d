"""Which sources a client may have opened: those that the configuration allows, and none by default.

Whatever a server opens for strangers can lead into its own network, or to its own files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from keepbusy.errors import KeepbusyError
from keepbusy.serve.configuration.settings import StreamSettings
from keepbusy.sources.realtime import split_pace


class NotAllowedError(KeepbusyError):
    """What a client wants is not what the configuration allows."""


def check_allowed(stream: StreamSettings, allowed: Sequence[str]) -> None:
    """See that a client may have a stream.

    Args:
        stream: What the client wants.
        allowed: Beginnings of addresses, folders, and `synth:`.

    Raises:
        NotAllowedError: It may not.
    """
    if stream.sinks:
        raise NotAllowedError("sinks: are named by the configuration only")
    if not any(is_allowed(stream.source, one) for one in allowed):
        raise NotAllowedError(
            "source: is not one that clients may have opened", hint="`server.allow_sources` lists what they may"
        )


def is_allowed(source: str, allowed: str) -> bool:
    """Whether a source lies below what is allowed: the same scheme, host and port, and a path below that one's."""
    source, _ = split_pace(source)
    if allowed == "synth:":
        return source.startswith("synth:")
    if "://" in allowed:
        return "://" in source and _is_below_address(source, allowed)
    if "://" in source or source.startswith("synth:") or source == "-":
        return False
    if allowed.isdecimal():
        return source == allowed
    folder, path = os.path.realpath(os.path.expanduser(allowed)), os.path.realpath(os.path.expanduser(source))
    # A name of nothing may be a camera's number or a pattern that leads elsewhere.
    return os.path.exists(path) and (path == folder or path.startswith(folder.rstrip(os.sep) + os.sep))


def _is_below_address(source: str, allowed: str) -> bool:
    try:
        one, other = urlsplit(source), urlsplit(allowed)
        places = [(part.scheme.lower(), (part.hostname or "").lower(), part.port) for part in (one, other)]
    except ValueError:
        return False
    if places[0] != places[1] or any(character in source for character in "\\\t\r\n "):
        return False
    path = unquote(one.path)
    return ".." not in path.split("/") and (
        path == other.path or path.startswith(other.path if other.path.endswith("/") else f"{other.path}/")
    )
