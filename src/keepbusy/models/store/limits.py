"""How much a download may bring, how long it may take, how slow it may be, and the error when it is not kept to."""

from __future__ import annotations

import os
from dataclasses import dataclass

from keepbusy.errors import ConfigError, KeepbusyError

MEGABYTE = 1_000_000

MAX_MB = 2000.0
"""Of a model whose size nothing public tells. The largest in the catalogue has 396 MB."""

MAX_HOURS = 4.0
"""400 MB at 30 kB/s take so long."""

TIMEOUT_S = 30.0
"""Release pages answer within a second; a connection that was silent for this long is dead."""

MIN_BYTES_PER_S = 1000.0
SPEED_WINDOW_S = 60.0
"""A server that brings less than the lowest speed over such a time drips, and is left."""

HEADERS_PER_TIMEOUT = 2.0
"""The headers of an answer, redirects apart, are to be complete within so many times the bound of silence: a server
that is only silent is reported as that."""

LARGER = 2.0
"""A file may be so many times as large as the catalogue says: a release may have been replaced."""

MB_VARIABLE = "KEEPBUSY_MODELS_MAX_MB"
HOURS_VARIABLE = "KEEPBUSY_MODELS_MAX_HOURS"


class FetchError(KeepbusyError):
    """A file could not be fetched; `message` is the reason alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one download.

    Attributes:
        max_bytes: The most bytes of a file.
        max_s: The most seconds, all connections together.
        timeout_s: Seconds of silence after which a server counts as dead.
        min_bytes_per_s: The lowest speed, over `speed_window_s`.
        speed_window_s: Seconds.
    """

    max_bytes: int = round(MAX_MB * MEGABYTE)
    max_s: float = MAX_HOURS * 3600
    timeout_s: float = TIMEOUT_S
    min_bytes_per_s: float = MIN_BYTES_PER_S
    speed_window_s: float = SPEED_WINDOW_S

    @property
    def headers_s(self) -> float:
        """Seconds from a connection to the last header of its answer."""
        return HEADERS_PER_TIMEOUT * self.timeout_s

    @property
    def late_headers(self) -> str:
        """What to report when headers take longer."""
        return f"the headers of the server's answer are not complete after {self.headers_s:g} s"

    @property
    def too_slow(self) -> str:
        """What to report when too few bytes come."""
        return f"the server brings less than {self.min_bytes_per_s / 1000:g} kB/s"

    @property
    def too_long(self) -> str:
        """What to report when the whole takes too long."""
        return f"it takes longer than {self.max_s / 3600:g} h ({HOURS_VARIABLE} allows more)"


def limits_for(size_mb: float | None, timeout_s: float = TIMEOUT_S) -> Limits:
    """The limits for a file that should have some millions of bytes; None where its size is not known.

    Raises:
        ConfigError: One of the variables that change them is no number above 0.
    """
    usual_mb = MAX_MB if size_mb is None else size_mb * LARGER
    return Limits(
        max_bytes=round(_from_environment(MB_VARIABLE, usual_mb) * MEGABYTE),
        max_s=_from_environment(HOURS_VARIABLE, MAX_HOURS) * 3600,
        timeout_s=timeout_s,
    )


def _from_environment(name: str, usual: float) -> float:
    text = os.environ.get(name)
    if not text:
        return usual
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise ConfigError(
            f"{name}: {text!r} is no number above 0", hint=f"unset it, or give a number such as {usual:g}"
        )
    return value
