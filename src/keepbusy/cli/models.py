"""`keepbusy models`: the models that have names; and how the other commands fetch one."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from keepbusy.cli.options import AsJsonOption, DebugOption
from keepbusy.terminal.console import open_console

if TYPE_CHECKING:
    from rich.progress import TaskID

    from keepbusy.models.store.catalogue import KnownModel

_VERIFIED = {True: "published SHA-256", False: "SHA-256 of the first download"}


def models(
    as_json: AsJsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the models that --model takes by name, with sizes and licences.

    They are fetched on first use from their projects' release pages; the licence is that of the model's weights.

    \b
    keepbusy models
    keepbusy detect street.mp4 -m yolov5s
    """
    from keepbusy.models.store import ModelStore
    from keepbusy.terminal.table import FigureTable

    store = ModelStore()
    if as_json:
        print(json.dumps([_record(store, known) for known in store.catalogue], indent=2))
        return
    table = FigureTable("name", "family")
    table.add_figures("MB")
    for column in ("licence", "in the cache", "verified by"):
        table.add_words(column, least=8)
    for known in store.catalogue:
        table.add_row(
            known.name,
            known.family,
            f"{known.size_mb:.1f}" if known.size_mb else "",
            known.licence,
            "yes" if store.is_cached(known) else "",
            _VERIFIED[known.sha256 is not None],
        )
    open_console().print(table)
    open_console(stderr=True).print(f"The cache is {store.folder}", highlight=False, markup=False, soft_wrap=True)


def find_model_with_progress(model: str | Path, *, is_quiet: bool = False) -> Path:
    """The file of a model given by its path or name, with licence and progress on standard error.

    Args:
        model: A path, or a name that `keepbusy models` lists.
        is_quiet: No progress. A licence that is new to the user is shown in any case.

    Raises:
        ModelError: As for `keepbusy.models.store.find_model`.
    """
    from keepbusy.models.store import find_model

    console = open_console(stderr=True)

    def show_licence(known: KnownModel) -> None:
        console.print(
            f"{known.name} ({known.family}) is under the licence {known.licence}: {known.licence_url}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def say_waiting() -> None:
        if not is_quiet:
            console.print(f"{model}: another process is downloading it, waiting", highlight=False, markup=False)

    with ExitStack() as stack:
        bar = _DownloadBar(console, str(model), stack)
        return find_model(
            model, on_licence=show_licence, on_wait=say_waiting, on_progress=None if is_quiet else bar.update
        )


class _DownloadBar:
    """A bar on a terminal, one line elsewhere; nothing at all if nothing is downloaded."""

    def __init__(self, console: Console, name: str, stack: ExitStack) -> None:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._console, self._name, self._stack = console, name, stack
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def update(self, num_bytes: int, total_bytes: int | None) -> None:
        if self._task is None:
            if not self._console.is_terminal:
                size = f" ({total_bytes / 1e6:.1f} MB)" if total_bytes else ""
                self._console.print(f"downloading {self._name}{size}", highlight=False, markup=False)
            self._stack.enter_context(self._progress)
            self._task = self._progress.add_task(self._name, total=total_bytes)
        self._progress.update(self._task, completed=num_bytes, total=total_bytes)


def _record(store: Any, known: KnownModel) -> dict[str, Any]:
    return {
        "name": known.name,
        "family": known.family,
        "size_mb": known.size_mb,
        "licence": known.licence,
        "licence_url": known.licence_url,
        "url": store.url(known),
        "path": str(store.path(known)),
        "is_cached": store.is_cached(known),
        "sha256": store.checksum(known),
        "checksum_source": known.checksum_source,
    }
