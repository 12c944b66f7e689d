"""Which names can be drawn: OpenCV 4 has letters for ASCII only, OpenCV 5 for many scripts, not for all."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from keepbusy.texts import class_name

_LOG = logging.getLogger(__name__)
_MAX_NAMED = 5
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_HEBREW = re.compile("[\u05d0-\u05ea\u05f3\u05f4\u05be -]+")
"""Letters, their two marks of abbreviation, and what joins words."""


def drawn_name(class_id: int, names: Sequence[str]) -> str:
    """A class's name as it is given to OpenCV, or `class 3` where OpenCV would draw question marks or a wrong order."""
    text = as_drawn(class_name(class_id, names))
    if text is not None:
        return text
    _warn(tuple(names))
    return f"class {class_id}"


@lru_cache(maxsize=4096)
def as_drawn(name: str) -> str | None:
    """A name in the order in which OpenCV has to draw it, from left to right; None where it cannot be drawn.

    OpenCV draws letters in the order of the text. Hebrew, whose letters do not join, is therefore given backwards.
    That is right for Hebrew words alone: numbers, brackets and other scripts among them run the other way.
    """
    text = _composed(name)
    if not all(character == " " or _has_letter(character) for character in text):
        return None
    if not any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text):
        return text
    return text[::-1] if _HEBREW.fullmatch(text) else None


@lru_cache(maxsize=4096)
def _composed(text: str) -> str:
    """The text with accents in their letters, and on one line."""
    return " ".join(unicodedata.normalize("NFC", text).split())


@cache
def _has_letter(character: str) -> bool:
    if character.isascii():
        return character.isprintable()
    is_simple = character.isprintable() and not unicodedata.combining(character)
    if not is_simple or not hasattr(cv2, "FontFace"):
        return False
    drawn = _draw(character)
    return not any(np.array_equal(drawn, _draw("?" * number)) for number in (1, len(character.encode())))


def _draw(text: str) -> NDArray[np.uint8]:
    picture = np.zeros((64, 160), np.uint8)
    cv2.putText(picture, text, (8, 40), _FONT, 1.0, 255)
    return picture


@lru_cache(maxsize=16)
def _warn(names: tuple[str, ...]) -> None:
    missing = [_composed(name) for name in names if as_drawn(name) is None]
    more = f" and {len(missing) - _MAX_NAMED} more" if len(missing) > _MAX_NAMED else ""
    hint = "" if hasattr(cv2, "FontFace") else "; OpenCV 5 has letters for more scripts"
    _LOG.warning(
        "OpenCV %s cannot draw these class names, pictures show the class's id instead: %s%s%s",
        cv2.__version__,
        ", ".join(missing[:_MAX_NAMED]),
        more,
        hint,
    )
