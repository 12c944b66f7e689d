"""The pictures of a folder that count as data."""

from __future__ import annotations

import os
from pathlib import Path

from keepbusy.files.kinds import is_picture
from keepbusy.files.paths import files_below, natural_key


def pictures_below(folder: Path) -> list[Path]:
    """The pictures in a folder and in its sub-folders, in natural order; none that is hidden.

    Each folder counts once however many links lead to it, by its own name where it has one below the folder.
    """
    found = [path for path in files_below(folder) if is_picture(path) and os.path.isfile(path)]
    return sorted(found, key=natural_key)
