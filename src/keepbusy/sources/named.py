"""Which files a source's name stands for, without opening any of them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from keepbusy.errors import SourceError
from keepbusy.sources.listing import LIST_SUFFIXES, list_entries
from keepbusy.sources.realtime import split_pace


def named_files(specs: Iterable[Any]) -> Iterator[Path]:
    """All files that would be read for some sources: the lists themselves, and what folders, globs and lists name.

    What cannot be read is passed over: opening it says why.

    Args:
        specs: What `open_source` takes; anything else is passed over.
    """
    for spec in specs:
        if isinstance(spec, (str, Path)):
            yield from _files_of(str(spec), Path())


def _files_of(text: str, beside: Path) -> Iterator[Path]:
    if "://" in text or text.startswith("synth:"):
        return
    text, _ = split_pace(text)
    for path in dict.fromkeys((beside / text, Path(text), Path(os.path.expanduser(text)))):
        yield from _files_at(path)


def _files_at(path: Path) -> Iterator[Path]:
    if os.path.isdir(path):
        with os.scandir(path) as entries:
            yield from (Path(entry.path) for entry in entries)
    elif os.path.isfile(path):
        yield path
        if path.suffix.lower() in LIST_SUFFIXES:
            yield from _files_in_list(path)
    elif glob.has_magic(str(path)):
        yield from (Path(match) for match in glob.iglob(str(path), recursive=True))


def _files_in_list(path: Path) -> Iterator[Path]:
    try:
        entries = list_entries(path)
    except SourceError:
        return
    for entry in entries:
        for spelling in entry.spellings():
            if Path(spelling).suffix.lower() not in LIST_SUFFIXES:
                yield from _files_of(spelling, path.parent)
