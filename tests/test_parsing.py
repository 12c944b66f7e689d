"""Texts from outside: limits of the parsers, and what a terminal gets."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import keepbusy
from keepbusy.files.parsing import TextError, parse_json, parse_literal, parse_yaml, parse_yaml_nodes
from keepbusy.texts import fit

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
PACKAGE = Path(keepbusy.__file__).parent


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "more than 1000000 values"),
        ("a: &a [*a]", "refers to itself"),
        ("[" * 5000, "nested too deeply"),
        ("[" * 80 + "]" * 80, "nested too deeply"),
        ("x: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("a: !!int x", "invalid literal"),
        ("{[a]: 1}", "unhashable"),
        ("a: b: c", "mapping values are not allowed"),
        ("\x00", "special characters"),
        ("a\n---\nb", "another document"),
        ("# " + "x" * (17 << 20), "more than 16 MiB"),
    ],
)
@pytest.mark.parametrize("as_written", [False, True])
def test_no_yaml_asks_for_more_than_it_may(text: str, words: str, as_written: bool) -> None:
    if as_written and ("!!" in text):
        return
    with pytest.raises(TextError) as caught:
        parse_yaml(text, as_written=as_written)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_yaml_is_read_as_before() -> None:
    text = "names: &n {0: no, 1: 007}\ndate: 2026-13-45\nagain: *n\nsize: [640, 480]\n"
    assert parse_yaml(text) == {
        "names": {0: False, 1: 7},
        "date": "2026-13-45",
        "again": {0: False, 1: 7},
        "size": [640, 480],
    }
    assert parse_yaml(text, as_written=True)["names"] == {"0": "no", "1": "007"}
    assert parse_yaml("") is None and parse_yaml("# nothing\n") is None
    assert parse_yaml_nodes("a: 1\nb: 2\n")[1].value[1][0].start_mark.line == 1


def test_an_error_knows_its_line() -> None:
    with pytest.raises(TextError) as caught:
        parse_yaml("a: 1\nb: [\nc: 2\n")
    assert caught.value.place.startswith(":")
    with pytest.raises(TextError) as of_json:
        parse_json('{\n"a": 1,\n}')
    assert of_json.value.place == ":3"


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "", "1" * 10_000, "nul"])
def test_bad_json_is_one_error(text: str) -> None:
    with pytest.raises(TextError):
        parse_json(text)


@pytest.mark.parametrize(
    "text", ["[" * 1000 + "]" * 1000, "-" * 6000 + "1", "- " * 6000 + "1", "f()", "{[]: 1}", "", "'" * 3, "1" * 10_000]
)
def test_bad_literals_are_one_error(text: str) -> None:
    with pytest.raises(TextError):
        parse_literal(text)


@pytest.mark.parametrize(
    "text", ["{0: 'car', 1: 'bus'}", "[640, -640]", "(1, 2)", " {'a': [1.5, None, True]}", "'---'"]
)
def test_literals_are_read(text: str) -> None:
    assert parse_literal(text) == ast.literal_eval(text.strip())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("street.mp4", "street.mp4"),
        ("Straße 行人 👩\u200d🚒 [/red]", "Straße 行人 👩\u200d🚒 [/red]"),
        ("\x1b]0;pwn\x07\x1b[31mx", "\\x1b]0;pwn\\x07\\x1b[31mx"),
        ("a\nhint: b\r\tc", "a\\nhint: b\\r\\tc"),
        ("a\u202etxt.exe\u2028\x9b31m", "a\\u202etxt.exe\\u2028\\x9b31m"),
        ("\udcff\ud800", "\\xff\\ud800"),
    ],
)
def test_what_a_terminal_gets(text: str, shown: str) -> None:
    assert fit(text) == shown
    assert fit(shown) == shown
    shown.encode("utf-8")


def test_only_one_file_calls_the_parsers() -> None:
    raw = re.compile(r"\b(yaml\.(safe_)?load|yaml\.compose|json\.loads?\b|literal_eval)\(")
    found = {path.name for path in PACKAGE.rglob("*.py") if raw.search(path.read_text(encoding="utf-8"))}
    assert found == {"parsing.py"}


def test_numbers_that_python_would_not_print_are_refused() -> None:
    for number in ("0x" + "f" * 5000, "-0x" + "f" * 5000, "0b" + "1" * 20000, "0o" + "7" * 6000):
        with pytest.raises(TextError, match="too long"):
            parse_literal(f"{{'a': [{number}]}}")
    for number in ("0x" + "f" * 5000, "0b" + "1" * 20000, "0" + "7" * 6000, "1:" * 3000 + "1"):
        with pytest.raises(TextError):
            parse_yaml(f"a: [{number}]")
    assert parse_yaml(f"a: {10**30}") == {"a": 10**30} == parse_literal("{'a': 0x%x}" % 10**30)
