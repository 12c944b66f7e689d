"""Odd numbers and words, as they stand in files."""

from __future__ import annotations

import random

NUMBERS = (
    *("0", "-0", "-1", "1", "2", "3", "255", "256", "65535", "65536", "2147483647", "2147483648", "4294967295"),
    *("4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1" + "0" * 400),
    *("0.5", "-0.5", "1e-320", "1e30", "1e308", "1e400", "-1e400", "nan", "NaN", "inf", "-Infinity", ".inf", ".nan"),
    *("0x10", "0o17", "010", "1_000", "1,5", "1.2.3", "+1", "1e", "٣", "²", "½", "190:20:30", "2026-01-01"),
)
WORDS = (
    *(
        "",
        " ",
        "~",
        "null",
        "true",
        "yes",
        "no",
        "''",
        '""',
        "{}",
        "[]",
        "[[]]",
        "{a: b}",
        "!!python/name:os",
        "!!binary",
    ),
    *("&a", "*a", "<<", "<<: *a", "? x", "- -", "---", "...", "%YAML 1.1", "#", "|", ">", "@", "`", "\t", ": ", "!"),
    *("\0", "\x1b[2J", "\x7f", "\x85", "\u2028", "\ufeff", "\u202e", "\ud800", "e\u0301", "🦊" * 40, "x" * 5000),
    *("con", ".", "..", "a.png", "*", "**", "[", "?", "%d", "%04d.png", "a\\b", "C:\\a", "a:b", "a|b", "name", "id"),
)
ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "latin-1",
    "cp1252",
    "shift_jis",
    "utf-7",
)
NEWLINES = ("\r", "\r\n", "\n\n", "\x0b", "\x0c", "\x85", "\u2028", "\0")


def number(dice: random.Random) -> str:
    """A number, or what looks like one."""
    return (
        dice.choice(NUMBERS) if dice.random() < 0.7 else repr(dice.choice([dice.gauss(0, 1e3), dice.getrandbits(70)]))
    )


def value(dice: random.Random) -> str:
    """A number or a word."""
    return number(dice) if dice.random() < 0.5 else dice.choice(WORDS)
