"""`--project P --name N`, and outputs that are asked for without a place: where results go.

Other programs put everything into one folder, `P/N`: annotated frames, labels in `labels`, crops in `crops`. Here each
output names its own place, and nothing is written that has none.
"""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from keepbusy.cli.habit_kinds import Folder
from keepbusy.errors import ConfigError

PLACES = {"--save": "", "--save-txt": "labels", "--save-crop": "crops"}
"""Outputs that other programs have without a place, and where they are in the folder."""

_EXAMPLES = {"--save": "out.mp4, or --save annotated/", "--save-txt": "labels/", "--save-crop": "crops/"}


class ResultFolder:
    """What is said of the folder of results, gathered word by word."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[str, str]] = {}
        self._wanted: dict[str, str] = {}
        self._is_saved = True

    def add(self, word: Folder, given: str, value: str) -> None:
        """Take a word: `--project`, `--name` or `--nosave`, as it was given, and its value."""
        if word.part == "nosave":
            self._is_saved = False
        else:
            self._parts[word.part] = (given, value)

    def want(self, option: str, given: str, *, is_wanted: bool = True) -> None:
        """Take the wish for an output without a place, or for none."""
        if is_wanted:
            self._wanted[option] = given
        elif option == "--save":
            self._is_saved = False

    def words(self, command: str, options: Container[str], named: Container[str]) -> list[str]:
        """What all of it is here.

        Args:
            command: The command.
            options: The options that it has.
            named: Those that are on the command line with a place.

        Raises:
            ConfigError: An output has no place, or the command writes to no folder.
        """
        if not self._parts:
            for option, given in self._wanted.items():
                raise ConfigError(f"{given}: where to?", hint=f"write {option} {_EXAMPLES[option]}")
            return []
        folder = Path(*(self._parts[part][1] for part in ("project", "name") if part in self._parts))
        if "--save-dir" in options:
            return ["--save-dir", str(folder)]
        if "--save" not in options or command == "verify":
            given = next(iter(self._parts.values()))[0]
            raise ConfigError(
                f"{given}: keepbusy {command} has no folder of results",
                hint=f"leave it out; `keepbusy {command} --help` lists what it writes",
            )
        wanted = {**({"--save": ""} if self._is_saved else {}), **self._wanted}
        found: list[str] = []
        for option, place in PLACES.items():
            if option in wanted and option not in named:
                found += [option, f"{folder / place}/"]
        return found
