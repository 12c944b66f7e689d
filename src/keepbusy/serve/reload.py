"""The configuration read again while the server goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from keepbusy.errors import ConfigError, KeepbusyError, reason_of
from keepbusy.serve.check import check_all
from keepbusy.serve.configuration.load import SettingsError
from keepbusy.serve.configuration.settings import ServerSettings, ServeSettings
from keepbusy.serve.http.metrics import Reloads
from keepbusy.serve.supervise.wall import Wall

log = logging.getLogger("keepbusy")

_CHANGES_AT_ONCE = frozenset({"allow_sources", "drain_s"})


class OneMore:
    """Work in a thread of its own, once more for however many ask while it goes on. Thread-safe.

    Args:
        does: The work. What it raises is its own affair.
    """

    def __init__(self, does: Callable[[], None]) -> None:
        self._does = does
        self._is_wanted = self._is_over = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def ask(self) -> None:
        """Have it done after this moment; what is asked for after the end is not done."""
        with self._lock:
            self._is_wanted = True
            if self._thread is None and not self._is_over:
                # What a disk holds up keeps no program from ending.
                self._thread = threading.Thread(target=self._work, name="keepbusy-reload", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._is_over or not self._is_wanted:
                    self._thread = None
                    return
                self._is_wanted = False
            self._does()

    def close(self, timeout_s: float) -> bool:
        """Drop what waits; returns whether what goes on has ended within some seconds."""
        with self._lock:
            self._is_over = True
            thread = self._thread
        if thread is not None:
            thread.join(max(0.0, timeout_s))
            return not thread.is_alive()
        return True


def read_again(
    wall: Wall,
    load: Callable[[], ServeSettings] | None,
    file: str,
    reloads: Reloads,
    on_change: Callable[[], None] = lambda: None,
) -> None:
    """Read the configuration again. One with mistakes changes nothing; nothing is raised.

    Args:
        wall: What it is for.
        load: Reads it; None where there is no file.
        file: The file's name, for mistakes.
        reloads: Counted here.
        on_change: Told when another configuration is in force.
    """
    if load is None:
        wall.told("config", "there is no file to read again")
        return
    try:
        settings = _checked(wall, load, file)
    except SettingsError as error:
        why = "the configuration has mistakes, the one before stays in force"
        _bad(wall, reloads, f"{why}: {error.lines[0]}", error.lines)
        return
    except Exception as error:  # Whatever it is: the server goes on with what it has.
        _bad(wall, reloads, f"the configuration cannot be used, the one before stays in force: {_told(error)}")
        return
    try:
        try:
            wall.apply(settings)
        finally:
            on_change()
    except Exception as error:
        _bad(wall, reloads, f"a part of the configuration is not in force: {_told(error)}")
    else:
        reloads.num_good += 1
        wall.told("config", "the configuration was read again")


def _checked(wall: Wall, load: Callable[[], ServeSettings], file: str) -> ServeSettings:
    before, settings = wall.settings, load()
    names = wall.names if before.engine == settings.engine and wall.names else None
    check_all(settings, names=names, file=file)
    _check_server(before.server, settings.server)
    return settings


def _told(error: Exception) -> str:
    if isinstance(error, KeepbusyError):
        return error.message
    log.debug("the configuration was not read again", exc_info=error)
    return f"{type(error).__name__}: {reason_of(error)}"


def _bad(wall: Wall, reloads: Reloads, text: str, lines: list[str] | None = None) -> None:
    """Count and tell a reload that has failed: each mistake is logged once."""
    reloads.num_bad += 1
    for line in lines or [text]:
        log.error("%s", wall.secrets.hidden(line))
    wall.note("config", text)


def _check_server(before: ServerSettings, after: ServerSettings) -> None:
    """See that nothing is changed that needs a new start.

    Raises:
        ConfigError: Something is.
    """
    for name in ServerSettings.model_fields:
        if name not in _CHANGES_AT_ONCE and getattr(before, name) != getattr(after, name):
            raise ConfigError(f"server.{name}: is changed by starting the server anew only")
