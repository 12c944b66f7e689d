"""YAML, JSON and Python literals from outside, read within limits.

The one door for all of them: whatever a parser raises becomes one `TextError`, and a small file cannot ask for much
memory.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import yaml

from keepbusy.errors import first_line

MAX_YAML_CHARS = 16 << 20
MAX_LITERAL_CHARS = 1 << 20
MAX_DEPTH = 64
"""So many lists and mappings within each other."""

MAX_NODES = 1_000_000
"""So many values, each counted as often as it is referred to: aliases of aliases of aliases grow without end."""

MAX_BITS = 1024
"""A whole number has no more: Python itself refuses to print very long ones, and nobody means them."""

_PARSERS_RAISE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError, RecursionError)


class _Loader(yaml.SafeLoader):
    """Without dates: they stay text, so that an impossible one does no harm."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    return _checked(loader.construct_yaml_int(node))


def _checked(number: int) -> int:
    if number.bit_length() > MAX_BITS:
        raise ValueError("a number is too long")
    return number


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


class TextError(ValueError):
    """A text that cannot be read as what it should be.

    Args:
        reason: Why, in one line.
        line: Where, from 1, if that is known.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.line = line

    @property
    def place(self) -> str:
        """`:LINE`, to stand behind the file's name; empty where the line is not known."""
        return "" if self.line is None else f":{self.line}"


def parse_yaml(text: str, *, as_written: bool = False) -> Any:
    """The value of a YAML document; None where it is empty.

    Args:
        text: The document.
        as_written: Leave scalars the text that they are: `yes` is no truth then, and `007` no number.

    Raises:
        TextError: It is no YAML, or goes beyond the limits.
    """
    return parse_yaml_nodes(text, as_written=as_written)[0]


def parse_yaml_nodes(text: str, *, as_written: bool = False) -> tuple[Any, Any]:
    """As `parse_yaml`, with PyYAML's tree beside it, whose nodes know their lines.

    Raises:
        TextError: As for `parse_yaml`.
    """
    if len(text) > MAX_YAML_CHARS:
        raise TextError(f"it has more than {MAX_YAML_CHARS >> 20} MiB")
    try:
        loader = (yaml.BaseLoader if as_written else _Loader)(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, None
            _count(node, {}, 0)
            return loader.construct_document(node), node
        finally:
            loader.dispose()
    except TextError:
        raise
    except RecursionError as error:
        raise TextError("it is nested too deeply") from error
    except (yaml.YAMLError, *_PARSERS_RAISE) as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or first_line(error)
        raise TextError(reason, mark.line + 1 if mark is not None else None) from error


def _count(node: Any, sizes: dict[int, int], depth: int) -> int:
    """How many values a node stands for, those that it refers to included."""
    known = sizes.get(id(node))
    line = node.start_mark.line + 1
    if known == 0:
        raise TextError("it refers to itself", line)
    if known is not None:
        return known
    if depth > MAX_DEPTH:
        raise TextError("it is nested too deeply", line)
    sizes[id(node)] = 0
    size = 1
    for item in node.value if isinstance(node.value, list) else ():
        for part in item if isinstance(item, tuple) else (item,):
            size += _count(part, sizes, depth + 1)
            if size > MAX_NODES:
                raise TextError(f"it has more than {MAX_NODES} values", line)
    sizes[id(node)] = size
    return size


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        TextError: It is no JSON, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise TextError(error.msg, error.lineno) from error
    except RecursionError as error:
        raise TextError("it is nested too deeply") from error
    except _PARSERS_RAISE as error:
        raise TextError(first_line(error)) from error


def parse_literal(text: str) -> Any:
    """The value of a Python literal, as exporters write them into a model's metadata: `{0: 'car'}`, `[640, 640]`.

    Raises:
        TextError: It is none, or goes beyond the limits.
    """
    if len(text) > MAX_LITERAL_CHARS or _depth(text) > MAX_DEPTH or re.search(r"[-+~\s]{64}", text):
        raise TextError("it is too long, or nested too deeply")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, int):
                _checked(node.value)
        return ast.literal_eval(tree)
    except (SyntaxError, *_PARSERS_RAISE) as error:
        raise TextError(first_line(error)) from error


def _depth(text: str) -> int:
    """How deep brackets stand within each other, those in quotes counted, too."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[\](){}]", text):
        depth += 1 if bracket in "[({" else -1
        deepest = max(deepest, depth)
    return deepest


def parse_query(query: str) -> dict[str, str]:
    """What stands behind the `?` of a source's or a sink's name: `seed=1&fps=30`.

    Raises:
        TextError: It is not of that form, or a key comes twice.
    """
    if not query:
        raise TextError("nothing follows '?'")
    values: dict[str, str] = {}
    for item in query.split("&"):
        key, equals, value = item.partition("=")
        if not equals:
            raise TextError(f"key {key!r} has no value")
        if key in values:
            raise TextError(f"key {key!r} appears twice")
        values[key] = value
    return values
