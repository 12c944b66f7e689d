"""What is written from a batch never takes the place of the batch, of its inputs, or of another output."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from keepbusy.batch.manifest import FORMAT, NAME
from keepbusy.batch.names import place_of
from keepbusy.batch.results import Snapshot
from keepbusy.batch.schema import TABLES
from keepbusy.batch.shards import shard_path
from keepbusy.errors import ConfigError
from keepbusy.files.paths import OutputFolder, check_outputs, names_folder
from keepbusy.files.whole import is_no_file
from keepbusy.sinks.naming import check_file, check_stdout, is_stdout

_HEAD_BYTES = 4096
"""So much is read of a manifest: its format stands at its beginning."""


def guard_outputs(
    batch: Snapshot, files: Mapping[str, str | Path | None], folders: Mapping[str, OutputFolder | None]
) -> None:
    """Refuse outputs that would cost something, before anything is opened, and see that they can be written.

    Args:
        batch: What is read.
        files: The files to be written, by their options; None is passed over.
        folders: The folders to be written to, by their options; None is passed over.

    Raises:
        ConfigError: One is in the folder of a batch, or is an input, or two are one file.
        SinkError: One cannot be written.
    """
    for option, path in files.items():
        if path is not None and names_folder(os.fspath(path)):
            raise ConfigError(f"{option}: {path} names a folder, not a file", hint="add a file name to it")
    wanted = {option: Path(path) for option, path in files.items() if path is not None}
    printed = [option for option, path in wanted.items() if is_stdout(path)]
    if len(printed) > 1:
        raise ConfigError(f"{printed[0]} and {printed[1]} both name standard output", hint="write one to a file")
    wanted = {option: path for option, path in wanted.items() if option not in printed}
    places = wanted | {option: folder.path for option, folder in folders.items() if folder is not None}
    for option, path in places.items():
        _check_outside(option, path, batch.place)
    _check_model(wanted, batch)
    check_outputs(wanted, _inputs(batch), folders=folders)
    for _ in printed:
        check_stdout("-")
    for path in wanted.values():
        if not is_no_file(path) or os.path.isdir(path):
            check_file(path)


def _check_outside(option: str, path: Path, own: Path) -> None:
    place = Path(os.path.realpath(path))
    job = next((one for one in (place, *place.parents) if one == Path(os.path.realpath(own)) or _is_job(one)), None)
    if job is not None:
        what = "is" if job == place else "is in"
        raise ConfigError(
            f"{option}: {path} {what} the folder of a batch, where nothing else is written",
            hint="write to a place outside of it",
        )


def _is_job(folder: Path) -> bool:
    path = folder / NAME
    if not os.path.isfile(path):
        return False
    try:
        with path.open("rb") as file:
            return f'"format":"{FORMAT}"'.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return False


def _check_model(files: Mapping[str, Path], batch: Snapshot) -> None:
    """A job knows what its model is called, not where it is."""
    model = Path(str(batch.state.settings["given"].get("model") or ""))
    for option, path in files.items():
        if model.suffix and path.name in (model.name, f"{model.stem}.bin") and os.path.exists(path):
            raise ConfigError(
                f"{option}: {path} has the name of the batch's model, and would be overwritten",
                hint="write to another place",
            )


def _inputs(batch: Snapshot) -> Iterator[Path]:
    state = batch.state
    yield batch.place / NAME
    for work in state.work.values():
        if work.shard:
            # Where a link stands for a folder of shards.
            yield from (shard_path(batch.place, table, work.shard) for table in TABLES)
    # Those of a store are where nothing is.
    yield from dict.fromkeys(map(place_of, batch.entries))
    names = state.settings["given"].get("names")
    if isinstance(names, str):
        yield Path(names)
