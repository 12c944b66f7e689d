"""The files of a folder that count as data: no hidden ones, in the order that people count in, each folder once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from keepbusy.files import FileId, file_id, is_hidden, natural_key
from keepbusy.sources.images import is_picture


def pictures_below(folder: Path) -> list[Path]:
    """The pictures in a folder and in its sub-folders, linked ones too; those of hidden folders are passed over."""
    found = [path for path in _files_below(folder) if is_picture(path) and os.path.isfile(path)]
    return sorted(found, key=natural_key)


def _files_below(folder: Path) -> Iterator[Path]:
    """All files that are not hidden. A folder is entered once, by its own name rather than through a link."""
    seen: set[FileId | None] = set()
    linked = [folder]
    while linked:
        start = linked.pop(0)
        for place, names, files in os.walk(start):
            here = Path(place)
            if (identity := file_id(here)) in seen:
                names.clear()
                continue
            seen.add(identity)
            visible = sorted((here / name for name in names if not is_hidden(here / name)), key=natural_key)
            linked += [path for path in visible if path.is_symlink()]
            names[:] = [path.name for path in visible if not path.is_symlink()]
            yield from (here / name for name in files if not is_hidden(here / name))
