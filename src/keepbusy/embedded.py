"""The model and the clip that the package carries: a street of its own, and a detector trained on it.

Both are checked against the checksums beside them before their first use in a process, so that a damaged
installation says so instead of finding nothing.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from keepbusy.errors import ModelError, SourceError
from keepbusy.files.parsing import parse_json

ASSETS = Path(__file__).resolve().parent / "assets"
MODEL_NAME = "street-yolov5n"
CLIP_NAME = "street.mp4"
CLIP_SPEC = "synth:street?seed=1&size=1280x720&fps=30&frames=300"
"""What the clip was made from: frame n of the clip shows frame n of this scene, whose truth is exact."""

_HINT = "restore it: pip install --force-reinstall --no-deps keepbusy (in a clone: git checkout -- src/keepbusy/assets)"


@cache
def embedded_model(assets: Path = ASSETS) -> Path:
    """The path of the embedded model's `.xml`.

    Raises:
        ModelError: It, or its weights, are missing or damaged.
    """
    for suffix in (".bin", ".xml"):
        path = assets / f"{MODEL_NAME}{suffix}"
        problem = _problem(path)
        if problem:
            raise ModelError(f"the embedded model {path}: {problem}", hint=_HINT)
    return path


@cache
def embedded_clip(assets: Path = ASSETS) -> Path:
    """The path of the embedded clip.

    Raises:
        SourceError: It is missing or damaged.
    """
    path = assets / CLIP_NAME
    problem = _problem(path)
    if problem:
        raise SourceError(f"the embedded clip {path}: {problem}", hint=_HINT)
    return path


def checksums(assets: Path = ASSETS) -> dict[str, str]:
    """SHA-256 of each embedded file, by its name, as they stand on the disk."""
    names = (f"{MODEL_NAME}.xml", f"{MODEL_NAME}.bin", CLIP_NAME)
    return {name: hashlib.sha256((assets / name).read_bytes()).hexdigest() for name in names}


def _problem(path: Path) -> str | None:
    try:
        expected = parse_json((path.parent / "checksums.json").read_text(encoding="utf-8"))[path.name]
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, KeyError) as error:
        return f"cannot be checked: {error}"
    return None if found == expected else "is damaged: its checksum is not the one it was made with"
