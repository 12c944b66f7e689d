"""A command line as people bring it along from other programs → the same in keepbusy's words.

`keepbusy detect model=a.xml source=b.mp4 conf=0.4`, `--weights`, `-api sync`, `--classes 0 5`: what means the same here
works, and everything else that is known ends with one line that names what does. Words of keepbusy itself stay as they
are. Unknown words do, too: the parser refuses them, and `keepbusy.cli.meaning` says what could be meant.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keepbusy.cli.habit_folder import PLACES, ResultFolder
from keepbusy.cli.habit_kinds import MODEL, NO, SOURCE, YES, Folder, Habit, Refuses, Says, Takes
from keepbusy.cli.habit_values import our_value
from keepbusy.cli.habit_words import OF_COMMAND, SHORT, WORDS
from keepbusy.errors import ConfigError

_KEY = re.compile(r"(-{0,2}[A-Za-z][\w-]*)=(.*)", re.DOTALL)
_MODEL_FILE = re.compile(r".*(\.(xml|onnx|pt|engine|tflite|pth)|_openvino_model[/\\]?)", re.IGNORECASE | re.DOTALL)
_SMALLEST_SIDE = 32
"""Numbers from here on behind a size are its other side, and no cameras."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a command understands.

    Attributes:
        values: How many values each of its options takes, by flag, `-m` as well as `--model`; 0 for switches.
        arguments: The names of its arguments: `SOURCE`, `MODEL`.
    """

    values: Mapping[str, int]
    arguments: frozenset[str]


def translated(command: str, words: Sequence[str], known: Known) -> list[str]:
    """A command's words, with those of other programs in its own.

    Args:
        command: The command's name.
        words: What stands behind it.
        known: Its options and arguments.

    Raises:
        ConfigError: A word is of another program, and means something else here.
    """
    return _Translation(command, words, known).run()


class _Translation:
    """One command line, read from left to right."""

    def __init__(self, command: str, words: Sequence[str], known: Known) -> None:
        self._command = command
        self._words = list(words)
        self._known = known
        self._out: list[str] = []
        self._sources: list[str] = []
        self._named: set[str] = set()
        self._folder = ResultFolder()
        self._numbers_behind_classes: list[str] = []
        self._habits = {**WORDS, **OF_COMMAND.get(command, {})}

    def run(self) -> list[str]:
        tail: list[str] = []
        while self._words:
            word = self._words.pop(0)
            if word == "--":
                tail = ["--", *self._words]
                break
            if word.startswith("-") and len(word) > 1:
                self._option(word)
            else:
                self._argument(word)
        self._check_classes(tail)
        added = self._folder.words(self._command, self._known.values, self._named)
        return [*self._out, *added, *tail]

    def _option(self, word: str) -> None:
        name, has_value, value = word.partition("=")
        attached = value if has_value else None
        ours = name if name in self._known.values else name.replace("_", "-")
        if ours in self._known.values:
            self._own(ours, name, attached)
        elif (habit := self._habit(name)) is not None:
            self._apply(habit, name, attached)
        else:
            self._out.append(word)
            if not word.startswith("--"):
                self._pass_value_of_cluster(word)

    def _habit(self, name: str) -> Habit | None:
        key = name.lstrip("-").lower().replace("_", "-")
        num_dashes = len(name) - len(name.lstrip("-"))
        if (num_dashes == 1 and key not in SHORT) or (num_dashes == 2 and len(key) == 1):
            return None
        return self._habits.get(key)

    def _pass_value_of_cluster(self, word: str) -> None:
        """The value behind `-qd CPU`; that of `-dCPU` is in the word."""
        for index, letter in enumerate(word[1:], 1):
            num_values = self._known.values.get(f"-{letter}")
            if num_values:
                if index == len(word) - 1 and self._words:
                    self._out.append(self._words.pop(0))
                return

    def _argument(self, word: str) -> None:
        match = _KEY.fullmatch(word)
        if match is None or os.path.lexists(word):
            self._positional(word)
            return
        key, value = match[1].lower().replace("_", "-"), match[2]
        if f"--{key}" in self._known.values:
            self._own(f"--{key}", match[1], value)
        elif key in self._habits:
            self._apply(self._habits[key], match[1], value)
        else:
            self._positional(word)

    def _positional(self, word: str) -> None:
        is_model = SOURCE in self._known.arguments and "--model" in self._known.values
        if is_model and _MODEL_FILE.fullmatch(word):
            raise ConfigError(f"{word}: is a model, not a source", hint=f"write --model {word}")
        self._sources.append(word)
        self._out.append(word)

    def _own(self, option: str, given: str, attached: str | None) -> None:
        """An option of the command itself."""
        num_values = self._known.values[option]
        if num_values == 0:
            self._switch(option, given, attached)
            return
        if option in PLACES and self._is_without_place(attached):
            self._folder.want(option, given, is_wanted=(attached or "true").lower() in YES)
            if attached is None and self._words and self._words[0].lower() in ("true", "false"):
                self._words.pop(0)
            return
        values = [attached] if attached is not None else self._words[:num_values]
        if attached is None:
            del self._words[: len(values)]
        if values and attached is None and values[0] in self._known.values and values[0].startswith("--"):
            raise ConfigError(f"{given}: a value is missing", hint=f"{values[0]} is an option, not a value of {given}")
        self._named.add(option)
        if len(values) == 1:
            values = [our_value(option, self._with_numbers(option, values[0]))]
        self._out += [option, *values]

    def _switch(self, option: str, given: str, attached: str | None) -> None:
        if attached is None or attached.lower() in YES:
            self._out.append(option)
        elif attached.lower() not in NO:
            raise ConfigError(f"{given}: is on or off, not {attached!r}", hint=f"write {option}, or leave it out")

    def _is_without_place(self, attached: str | None) -> bool:
        """Whether an output that other programs have as a switch is one here."""
        if self._command == "verify":
            return False
        if attached is not None:
            return attached.lower() in ("true", "false")
        behind = self._words[0] if self._words else "--"
        if behind.lower() in ("true", "false"):
            return True
        name = behind.partition("=")[0]
        is_option = name.startswith("--") and (name in self._known.values or self._habit(name) is not None)
        return behind == "--" or is_option

    def _with_numbers(self, option: str, value: str) -> str:
        """A value with the numbers that follow it in other programs: `--imgsz 640 480`, `--classes 0 5`."""
        if option == "--imgsz" and value.isdecimal() and self._words and self._words[0].isdecimal():
            if int(self._words[0]) >= _SMALLEST_SIDE:
                return f"{value}x{self._words.pop(0)}"
        elif option == "--classes" and value.isdecimal():
            while self._words and self._words[0].isdecimal() and not os.path.lexists(self._words[0]):
                self._numbers_behind_classes.append(self._words.pop(0))
            return ",".join((value, *self._numbers_behind_classes))
        return value

    def _check_classes(self, tail: Sequence[str]) -> None:
        """Numbers behind `--classes` are classes where the sources are elsewhere; alone they could be cameras."""
        numbers = self._numbers_behind_classes
        if numbers and not self._sources and not tail:
            first = numbers[-1]
            raise ConfigError(
                f"--classes: is {first} a class or a camera?",
                hint=f"separate classes by commas (--classes 0,{first}), and write a camera before the options",
            )

    def _apply(self, habit: Habit, given: str, attached: str | None) -> None:
        match habit:
            case Takes(to):
                self._take(to, given, self._value(given, attached))
            case Says(on, off):
                is_on = self._is_on(given, attached)
                self._say(on if is_on else off, given)
            case Folder(_, has_value):
                if has_value:
                    self._folder.add(habit, given, self._value(given, attached))
                elif self._is_on(given, attached):
                    self._folder.add(habit, given, "")
            case Refuses():
                self._refuse(habit, given, attached)

    def _refuse(self, habit: Refuses, given: str, attached: str | None) -> None:
        value = attached
        if value is None and habit.has_value and self._words and not self._words[0].startswith("-"):
            value = self._words.pop(0)
        if (value or "").lower() in habit.harmless:
            return
        shown = given if value is None else f"{given}{'=' if attached is not None else ' '}{value}"
        raise ConfigError(f"{shown}: {habit.why}", hint=habit.hint)

    def _take(self, to: Sequence[str], given: str, value: str) -> None:
        for name in to:
            if name in self._known.values:
                if name in PLACES or name in ("--to", "--output"):
                    self._named.add(name)
                self._out += [name, our_value(name, self._with_numbers(name, value))]
                return
            if name in self._known.arguments:
                if name == SOURCE:
                    self._sources.append(value)
                self._out.append(value)
                return
        raise self._not_here(given, [name for name in to if name not in (SOURCE, MODEL)])

    def _say(self, words: Sequence[str], given: str) -> None:
        if words and words[0] not in self._known.values:
            raise self._not_here(given, [words[0]])
        self._out += words

    def _not_here(self, given: str, ours: Sequence[str]) -> ConfigError:
        from keepbusy.cli.usage import hint_for_key

        key_hint = next((hint for one in (given, *ours) if (hint := hint_for_key(one, self._command))), "")
        is_called = f"it is called {ours[0]} here, and `keepbusy detect` has it: " if ours else ""
        return ConfigError(
            f"{given}: keepbusy {self._command} has no such option",
            hint=key_hint or f"{is_called}leave it out; `keepbusy {self._command} --help` lists the options",
        )

    def _value(self, given: str, attached: str | None) -> str:
        if attached is not None:
            return attached
        if not self._words or self._words[0] in self._known.values:
            raise ConfigError(f"{given}: a value is missing", hint=f"write it behind {given}")
        return self._words.pop(0)

    def _is_on(self, given: str, attached: str | None) -> bool:
        if attached is None and self._words and self._words[0].lower() in ("true", "false"):
            attached = self._words.pop(0)
        if attached is None or attached.lower() in YES:
            return True
        if attached.lower() in NO:
            return False
        raise ConfigError(f"{given}: is on or off, not {attached!r}", hint=f"write {given} alone, or leave it out")
