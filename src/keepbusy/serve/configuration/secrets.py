"""Passwords and tokens, kept out of logs, errors, events, metrics and pages."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterable
from urllib.parse import unquote

from keepbusy.serve.configuration.settings import ServeSettings
from keepbusy.texts import without_secrets

_HIDDEN = "***"
_MIN_CHARS = 4
"""Shorter ones would be found everywhere; those within an address are taken out by its form."""

_LOGIN = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)@")
_FIELD = re.compile(
    r"[?&;](?:pass(?:word|wd|phrase)?|pwd|token|access_token|secret|key|api_?key|auth|sig(?:nature)?)=([^&;#\s]+)", re.I
)


def secrets_in(address: str) -> set[str]:
    """The passwords and keys in an address, as it has them."""
    login = _LOGIN.match(address)
    found = set(_FIELD.findall(address))
    if login is not None and ":" in login[1]:
        found.add(login[1].partition(":")[2])
    return found


class Secrets:
    """What must not be shown. Thread-safe: `learn` puts a new pattern in the place of the old one."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, settings: ServeSettings) -> None:
        """Know the secrets of a configuration, beside those of earlier ones: what is in a log may be older."""
        tokens = (settings.server.token, settings.server.viewer_token)
        self.add(token.get_secret_value() for token in tokens if token is not None)
        for stream in settings.streams:
            self.add(secrets_in(stream.source))

    def add(self, secrets: Iterable[str]) -> None:
        """Know some more, in every way of writing them: plain, with some or all of their characters as `%40`."""
        for secret in secrets:
            self._known |= {one for one in (secret, unquote(secret)) if len(one) >= _MIN_CHARS}
        longest_first = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_any_writing, longest_first)), re.I) if longest_first else None

    def hidden(self, text: str) -> str:
        """A text without them."""
        text = without_secrets(text)
        return text if self._pattern is None else self._pattern.sub(_HIDDEN, text)


def _any_writing(secret: str) -> str:
    """A pattern for a text whose characters may stand for themselves or be percent-encoded, each by itself."""
    parts = []
    for character in secret:
        encoded = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
        parts.append(f"(?:{re.escape(character)}|{encoded}{'|[+]' if character == ' ' else ''})")
    return "".join(parts)


class HideSecrets(logging.Filter):
    """Takes secrets out of what is logged, tracebacks included."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._secrets.hidden(record.getMessage()), ()
        if record.exc_info and record.exc_info[1] is not None:
            lines = traceback.format_exception(record.exc_info[1])
            record.exc_text, record.exc_info = self._secrets.hidden("".join(lines)), None
        return True
