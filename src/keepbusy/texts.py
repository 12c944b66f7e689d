"""Text from outside, made fit to be shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")
"""Control characters, line ends, what turns the direction of writing or takes no room, halves of characters."""


_ADDRESS = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)([^\s'\"<>]*)")
_CUT_LOGIN = re.compile(r"[^\s/@:]+:(?!\d*(?:[/?#]|$))[^\s@]*@")
_SECRET_FIELD = re.compile(
    r"([?&;](?:pass(?:word|wd|phrase)?|pwd|token|access_token|secret|key|api_?key|auth|sig(?:nature)?"
    # Addresses that stores sign for a while.
    r"|x-(?:amz|goog)-(?:signature|credential|security-token)|awsaccesskeyid)=)"
    # What a sentence goes on with behind an address is no part of the secret.
    r"[^&;#\s]*?(?=[:,.)]*(?:[&;#\s]|$))",
    re.I,
)

_SURROGATE = re.compile("[\ud800-\udfff]")


def fit(text: str) -> str:
    r"""A text from outside, so that it can be shown on a line of a terminal: `\x1b` for what would control it.

    Letters, accents and emoji stay; line ends, control characters, marks that turn the direction of writing and bytes
    that are not UTF-8 are written out.
    """
    return _UNFIT.sub(_written_out, text)


def valid_text(text: str) -> str:
    r"""A text that UTF-8 can hold: bytes of a file name that are not UTF-8 become text such as `\xff`."""
    return _SURROGATE.sub(_written_out, text)


def shortened(text: str, max_chars: int = 120) -> str:
    """A name that fits into a line."""
    return text if len(text) <= max_chars else f"{text[: max_chars - 20]}...{text[-17:]}"


def told_by(text: object) -> str:
    """What a server or a file has said, for a message: its first line, short, and fit to be shown."""
    return fit(shortened((str(text).strip().splitlines() or [""])[0]))


def class_name(class_id: int, names: Sequence[str]) -> str:
    """What a class is called; `class 3` where nothing says it."""
    return names[class_id] if 0 <= class_id < len(names) else f"class {class_id}"


def without_secrets(text: str) -> str:
    """A text without the passwords and keys of the addresses in it: `rtsp://admin:***@host/stream?token=***`.

    The one place where they are taken out: of sources' names, of errors, and of what is logged.
    """
    return _ADDRESS.sub(_without_login, text) if "://" in text else text


def has_secret_field(query: str) -> bool:
    """Whether an address's query, from its `?` on, has a password, a key or a signature in it."""
    return _SECRET_FIELD.search(query) is not None


def short_name(source: str) -> str:
    """A source for a report: the last part of its path or address, without passwords."""
    name = without_secrets(source)
    return PurePath(name).name or name


def line_name(source: str) -> str:
    """A source within a line about it: a file's own name without its folders, an address whole but for passwords."""
    name = without_secrets(source)
    return fit(shortened(name if "://" in name else PurePath(name).name or name, 80))


def _without_login(match: re.Match[str]) -> str:
    scheme, rest = match[1], match[2]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    end = authority.rfind("@")
    if end < 0 and _CUT_LOGIN.match(rest):
        end = rest.rfind("@")  # A password with an unescaped slash.
    if end >= 0:
        user, colon, _ = rest[:end].partition(":")
        rest = (f"{user}:***" if colon else "***") + rest[end:]
    return scheme + _SECRET_FIELD.sub(r"\1***", rest)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # A byte of a file name that is not UTF-8.
        return f"\\x{code - 0xDC00:02x}"
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
