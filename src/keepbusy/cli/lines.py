"""Lines for people: a word that says what kind it is, and text from outside that is never taken for markup."""

from __future__ import annotations

from rich.text import Text

from keepbusy.texts import fit

_STYLES = {
    "error": "bold red",
    "hint": "bold cyan",
    "note": "dim",
    "warning": "bold yellow",
    "refused": "bold red",
    "saved all the same": "bold yellow",
}


def line(word: str, text: str) -> Text:
    """`error: TEXT`, the word coloured.

    Args:
        word: One of `error`, `hint`, `note`, `warning`, `refused`, `saved all the same`.
        text: What to say; control characters in it are written out.
    """
    return Text.assemble((f"{word}:", _STYLES[word]), " ", fit(text))
