"""What a word of another program becomes on keepbusy's command line: four kinds of answers."""

from __future__ import annotations

from dataclasses import dataclass

YES = frozenset({"true", "yes", "on", "1"})
NO = frozenset({"false", "no", "off", "0", "none"})

SOURCE = "SOURCE"
MODEL = "MODEL"
"""Arguments that a word may stand for."""


@dataclass(frozen=True, slots=True)
class Takes:
    """A word with a value, which an option or argument here takes.

    Attributes:
        to: The options or arguments that mean it; the first that the command has is used.
        values: Other words for values: theirs → ours. A value that is not in it stays as it is.
    """

    to: tuple[str, ...]
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Says:
    """A switch that words here say as well.

    Attributes:
        to: The words when it is on; none where keepbusy does so in any case.
        off: The words when it is off (`=False`); none where that is the default here.
    """

    to: tuple[str, ...] = ()
    off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """A part of the folder that results go to, or the wish for one of its parts: see `keepbusy.cli.habit_folder`."""

    part: str
    has_value: bool = False


@dataclass(frozen=True, slots=True)
class Refuses:
    """A word for something that is called or done otherwise here.

    Attributes:
        why: What is so, behind the word and a colon.
        hint: What to write.
        has_value: A value follows it.
        harmless: Values with which it says what is so in any case; it is dropped then.
    """

    why: str
    hint: str
    has_value: bool = False
    harmless: frozenset[str] = frozenset()


Habit = Takes | Says | Folder | Refuses
