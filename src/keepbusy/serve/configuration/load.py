"""A configuration's file → settings; every mistake with its line and key."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from keepbusy.errors import ConfigError, reason_of
from keepbusy.files.parsing import MAX_YAML_CHARS, TextError, parse_yaml_nodes
from keepbusy.files.paths import read_text
from keepbusy.serve.configuration.settings import ServeSettings, StreamSettings, area
from keepbusy.texts import fit, shortened

_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

Kind = TypeVar("Kind", bound=BaseModel)

Place = tuple[str | int, ...]
"""Keys and positions that lead to a value: ("streams", 1, "conf")."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong in a configuration.

    Attributes:
        place: The keys that lead there.
        reason: What is wrong, in one line.
        line: Its line in the file, from 1; None where there is no file, or the line is not known.
    """

    place: Place
    reason: str
    line: int | None = None

    @property
    def key(self) -> str:
        """The place in one word: `streams[1].conf`."""
        shown = ""
        for part in self.place:
            shown += f"[{part}]" if isinstance(part, int) else f"{'.' if shown else ''}{part}"
        return shown

    def told(self, file: str = "") -> str:
        """One line: `wall.yaml:12: streams[1].conf: ...`."""
        where = file + ("" if self.line is None or not file else f":{self.line}")
        return fit(": ".join(part for part in (where, self.key, self.reason) if part))


class SettingsError(ConfigError):
    """A configuration that cannot be used.

    Args:
        mistakes: All that is wrong in it.
        file: The file, for the message; empty where there is none.
    """

    def __init__(self, mistakes: Sequence[Mistake], file: str = "") -> None:
        self.mistakes = tuple(mistakes)
        self.lines = [one.told(file) for one in self.mistakes]
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        super().__init__(self.lines[0] + more, hint="`check` lists all mistakes")


def load_settings(path: str | Path) -> ServeSettings:
    """Read a configuration; nothing is opened that it names.

    Raises:
        SettingsError: It cannot be read, or has mistakes.
    """
    file = str(path)
    try:
        text = read_text(Path(path), MAX_YAML_CHARS)
    except (OSError, ValueError) as error:
        raise SettingsError([Mistake((), f"cannot be read: {reason_of(error)}")], file) from error
    return parse_settings(text, file)


def parse_settings(text: str, file: str = "") -> ServeSettings:
    """A configuration's text → settings.

    Raises:
        SettingsError: It has mistakes.
    """
    try:
        content, node = parse_yaml_nodes(text)
    except TextError as error:
        raise SettingsError([Mistake((), f"is no YAML: {error}", error.line)], file) from error
    mistakes = [*_repeated(node, ())]
    content = _filled(content, (), os.environ, mistakes)
    if not isinstance(content, dict):
        what = "is empty" if content is None else "is no mapping of keys to values"
        mistakes = [Mistake((), f"{what}: it begins with `streams:`")]
    try:
        if not mistakes:
            return check_settings(content)
    except SettingsError as error:
        mistakes = list(error.mistakes)
    placed = [Mistake(one.place, one.reason, line_of(node, one.place)) for one in mistakes]
    raise SettingsError(sorted(placed, key=lambda one: one.line or 0), file)


def check_settings(content: Mapping[str, Any]) -> ServeSettings:
    """Values → settings, with the rules that concern several values.

    Raises:
        SettingsError: They have mistakes.
    """
    settings = _validated(ServeSettings, content)
    names: dict[str, int] = {}
    mistakes: list[Mistake] = []
    streams = with_names(settings.streams)
    for number, stream in enumerate(streams):
        if (first := names.setdefault(stream.name, number)) != number:
            reason = f"{stream.name!r} is the name of streams[{first}], too"
            mistakes.append(Mistake(("streams", number, "name"), reason))
    mistakes += _overload(settings)
    if mistakes:
        raise SettingsError(mistakes)
    return settings.model_copy(update={"streams": streams})


def _overload(settings: ServeSettings) -> list[Mistake]:
    """Steps without what they need, and the other way round; sizes that are not smaller than the one before."""
    given, mistakes = settings.overload, list[Mistake]()
    for number, step in enumerate(given.steps):
        place: Place = ("overload", "steps", number)
        if step in given.steps[:number]:
            mistakes.append(Mistake(place, f"{step} is there twice"))
        elif step in ("imgsz", "model") and "steps" in given.model_fields_set and not getattr(given, step):
            mistakes.append(Mistake(place, f"{step}: needs overload.{step}, which is missing"))
    for key in ("imgsz", "model"):
        if getattr(given, key) and key not in given.steps:
            mistakes.append(Mistake(("overload", key), f"is given, and overload.steps does not name {key}"))
    before = settings.imgsz
    for number, size in enumerate(given.imgsz):
        if before is not None and area(size) >= area(before):
            mistakes.append(Mistake(("overload", "imgsz", number), f"must be smaller than {before}, the one before"))
        before = size
    return mistakes


def check_stream(content: Mapping[str, Any]) -> StreamSettings:
    """Values of one stream → its settings.

    Raises:
        SettingsError: They have mistakes.
    """
    return _validated(StreamSettings, content)


def with_names(streams: Sequence[StreamSettings]) -> list[StreamSettings]:
    """Streams, each with a name."""
    taken = {one.name for one in streams}
    named = []
    for number, one in enumerate(streams, 1):
        name = one.name
        while not name:
            name = f"stream-{number}"
            if name in taken:
                number, name = number + len(streams), ""  # noqa: PLW2901 - the next number that is free
        taken.add(name)
        named.append(one if one.name else one.model_copy(update={"name": name}))
    return named


def line_of(node: Any, place: Place) -> int | None:
    """The line of a value in PyYAML's tree; of what encloses it where it is not there."""
    if node is None:
        return None
    line = node.start_mark.line + 1
    for part in place:
        found = None
        if isinstance(part, int) and isinstance(node.value, list) and part < len(node.value):
            found = node.value[part]
            if isinstance(found, tuple):
                return int(line)
            line = found.start_mark.line + 1
        elif isinstance(node.value, list):
            for key, value in (item for item in node.value if isinstance(item, tuple)):
                if str(key.value) == str(part):
                    found, line = value, key.start_mark.line + 1
        if found is None:
            return int(line)
        node = found
    return int(line)


def _repeated(node: Any, place: Place) -> list[Mistake]:
    """Keys that come twice: YAML takes the last one, silently."""
    if node is None or not isinstance(node.value, list):
        return []
    found: list[Mistake] = []
    met: set[str] = set()
    for number, item in enumerate(node.value):
        if not isinstance(item, tuple):
            found += _repeated(item, (*place, number))
            continue
        key = str(item[0].value)
        if key in met:
            found.append(Mistake((*place, key), "is there twice"))
        met.add(key)
        found += _repeated(item[1], (*place, key))
    return found


def _filled(content: Any, place: Place, variables: Mapping[str, str], mistakes: list[Mistake]) -> Any:
    """Values with what `${NAME}` stands for in them; `$$` is a dollar."""
    if isinstance(content, dict):
        return {key: _filled(value, (*place, str(key)), variables, mistakes) for key, value in content.items()}
    if isinstance(content, list):
        return [_filled(value, (*place, number), variables, mistakes) for number, value in enumerate(content)]
    if not isinstance(content, str):
        return content

    def value_of(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        if match[1] not in variables:
            mistakes.append(Mistake(place, f"the environment has no variable {match[1]}"))
        return variables.get(match[1], "")

    return _VARIABLE.sub(value_of, content)


def _with_nul(content: Any, place: Place = ()) -> list[Mistake]:
    """Texts with a NUL character in them, which no name of a file can have, and no other text here needs."""
    if isinstance(content, str):
        return [Mistake(place, "has a NUL character in it")] if "\0" in content else []
    if isinstance(content, Mapping):
        named = [one for key in content for one in _with_nul(key, place)]
        return named + [one for key, value in content.items() for one in _with_nul(value, (*place, str(key)))]
    if isinstance(content, (list, tuple)):
        return [one for number, value in enumerate(content) for one in _with_nul(value, (*place, number))]
    return []


def _validated(kind: type[Kind], content: Mapping[str, Any]) -> Kind:
    try:
        if mistakes := _with_nul(content):
            raise SettingsError(mistakes)
        return kind.model_validate(dict(content))
    except ValidationError as error:
        found: dict[Place, Mistake] = {}
        for one in error.errors(include_url=False):
            place = _place_in(content, one["loc"], is_missing=one["type"] == "missing")
            found.setdefault(place, Mistake(place, _reason(cast("Any", one), kind, place)))
        raise SettingsError(list(found.values())) from None
    except (TypeError, RecursionError) as error:
        raise SettingsError([Mistake((), f"is no mapping of keys to values: {error}")]) from None


def _place_in(content: Any, loc: Sequence[str | int], *, is_missing: bool) -> Place:
    """Pydantic's place without what is none of the file's: names of the alternatives that a value may be."""
    place: list[str | int] = []
    for number, part in enumerate(loc):
        is_there, value = _item(content, part)
        if is_there:
            content = value
        elif not is_missing or number < len(loc) - 1:
            continue
        place.append(part)
    return tuple(place)


def _item(content: Any, part: str | int) -> tuple[bool, Any]:
    """Whether a list or mapping has something at a place, and what."""
    if isinstance(content, Mapping):
        return part in content, content.get(part)
    if isinstance(content, (list, tuple)) and isinstance(part, int) and part < len(content):
        return True, content[part]
    return False, None


_REASONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "greater_than": lambda ctx: f"must be above {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"must be {ctx['ge']:g} or more",
    "less_than_equal": lambda ctx: f"must be {ctx['le']:g} or less",
    "string_type": lambda _: "must be a text: write it in quotes",
    "list_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be a mapping of keys to values",
    "model_type": lambda _: "must be a mapping of keys to values",
    "bool_type": lambda _: "must be true or false",
    "bool_parsing": lambda _: "must be true or false",
    "float_parsing": lambda _: "must be a number",
    "float_type": lambda _: "must be a number",
    "int_parsing": lambda _: "must be a whole number",
    "int_type": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "literal_error": lambda ctx: f"must be {ctx['expected']}",
    "string_pattern_mismatch": lambda _: "must have 1 to 64 characters, without / and \\",
    "string_too_short": lambda _: "is empty",
    "too_long": lambda ctx: f"has more than {ctx['max_length']} entries",
    "too_short": lambda ctx: f"has less than {ctx['min_length']} entries",
}


def _reason(error: dict[str, Any], kind: type[BaseModel], place: Place) -> str:
    if error["type"] == "extra_forbidden":
        known = _keys_at(kind, place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, 1)
        return "is no key here" + (f": did you mean {near[0]}?" if near else f": the keys are {', '.join(known)}")
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    told = _REASONS.get(error["type"])
    reason = told(error.get("ctx", {})) if told else str(error["msg"])[:1].lower() + str(error["msg"])[1:]
    given = error.get("input")
    is_shown = isinstance(given, (int, float, bool)) or (isinstance(given, str) and not _may_be_secret(place))
    return f"{reason}, and is {shortened(repr(given), 60)}" if is_shown and error["type"] != "missing" else reason


def _may_be_secret(place: Place) -> bool:
    return bool({"source", "token", "viewer_token", "key"} & {str(part) for part in place})


def _keys_at(kind: type[BaseModel], place: Place) -> list[str]:
    """The keys that a mapping at some place may have."""
    for part in place:
        if isinstance(part, int):
            continue
        annotation = kind.model_fields[part].annotation if part in kind.model_fields else None
        models = [one for one in _parts_of(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
        if not models:
            return []
        kind = models[0]
    return list(kind.model_fields)


def _parts_of(annotation: Any) -> list[Any]:
    """A type, and the types that it is made of."""
    arguments = getattr(annotation, "__args__", ())
    return [annotation, *(part for argument in arguments for part in _parts_of(argument))]
