"""Which names can be drawn: OpenCV 4 has letters for ASCII only, OpenCV 5 for many scripts, not for all."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

_LOG = logging.getLogger(__name__)
_MAX_NAMED = 5
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def drawn_name(class_id: int, names: Sequence[str]) -> str:
    """A class's name as it can be drawn: its own, or `class 3` where OpenCV would draw question marks."""
    text = _composed(names[class_id])
    if is_drawable(text):
        return text
    _warn(tuple(names))
    return f"class {class_id}"


@lru_cache(maxsize=4096)
def is_drawable(text: str) -> bool:
    """Whether OpenCV has all of a text's letters, and draws them in their order."""
    return all(character == " " or _has_letter(character) for character in text)


@lru_cache(maxsize=4096)
def _composed(text: str) -> str:
    """The text with accents in their letters, and on one line."""
    return " ".join(unicodedata.normalize("NFC", text).split())


@cache
def _has_letter(character: str) -> bool:
    if character.isascii():
        return character.isprintable()
    is_simple = character.isprintable() and not unicodedata.combining(character)
    # OpenCV puts letters that run from right to left the wrong way round.
    if not is_simple or unicodedata.bidirectional(character) in {"R", "AL", "AN"} or not hasattr(cv2, "FontFace"):
        return False
    drawn = _draw(character)
    return not any(np.array_equal(drawn, _draw("?" * number)) for number in (1, len(character.encode())))


def _draw(text: str) -> NDArray[np.uint8]:
    picture = np.zeros((64, 160), np.uint8)
    cv2.putText(picture, text, (8, 40), _FONT, 1.0, 255)
    return picture


@lru_cache(maxsize=16)
def _warn(names: tuple[str, ...]) -> None:
    missing = [name for name in map(_composed, names) if not is_drawable(name)]
    more = f" and {len(missing) - _MAX_NAMED} more" if len(missing) > _MAX_NAMED else ""
    hint = "" if hasattr(cv2, "FontFace") else "; OpenCV 5 has letters for more scripts"
    _LOG.warning(
        "OpenCV %s cannot draw these class names, pictures show the class's id instead: %s%s%s",
        cv2.__version__,
        ", ".join(missing[:_MAX_NAMED]),
        more,
        hint,
    )
