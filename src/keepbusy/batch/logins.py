"""Logins in the addresses of object stores: known while a job runs, and never written down."""

from __future__ import annotations

import re
from urllib.parse import unquote

from keepbusy.texts import has_secret_field

_AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#\s]*)@(?=[^/?#@\s]+)")
"""(scheme, login) of an address that has a login."""

_VALUE = re.compile(r"[?&;][^=&;#]*=([^&;#\s]+)")


class Logins:
    """What was taken off the addresses of a job, so that it can be put on again. Picklable.

    An address without its login is what the manifest and the tables have, and what tells whether two addresses name
    one file: a key that is renewed makes no new file of an old one.
    """

    def __init__(self) -> None:
        self._by_origin: dict[str, str] = {}
        self._by_address: dict[str, str] = {}
        self._secrets: set[str] = set()

    def __repr__(self) -> str:
        return f"Logins({len(self._by_origin) + len(self._by_address)})"

    def take_off(self, address: str) -> str:
        """An address without login and signature, which are remembered.

        Args:
            address: `ftp://user:password@host/clip.mp4`, `https://host/clip.mp4?X-Amz-Signature=...`.
        """
        clean = _AUTHORITY.sub(r"\1", address)
        head, sign, query = clean.partition("?")
        is_signed = has_secret_field(sign + query)
        if is_signed:
            clean = head
            self._secrets.update(value for value in _VALUE.findall(sign + query) if len(value) >= _LEAST_SECRET)
        if clean == address:
            return clean
        for scheme, login in _AUTHORITY.findall(address):
            self._hide_login(login)
            host = re.split(r"[/?#]", address.split(f"{scheme}{login}@", 1)[1], maxsplit=1)[0]
            self._by_origin[f"{scheme}{host}"] = f"{scheme}{login}@{host}"
        if is_signed or "::" in address:
            self._by_address[clean] = address
        return clean

    def put_on(self, address: str) -> str:
        """An address with what was taken off it; as it is where that is nothing."""
        if (full := self._by_address.get(address)) is not None:
            return full
        scheme, sign, rest = address.partition("://")
        host, slash, path = rest.partition("/")
        origin = self._by_origin.get(f"{scheme}{sign}{host}")
        return address if origin is None else f"{origin}{slash}{path}"

    def hide(self, text: str) -> str:
        """A text of a store, without what was taken off addresses."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _hide_login(self, login: str) -> None:
        user, colon, password = login.partition(":")
        for secret in {login, password if colon else user}:
            self._secrets.update(one for one in (secret, unquote(secret)) if len(one) >= _LEAST_SECRET)


_LEAST_SECRET = 3
"""What is shorter would take letters out of words that have nothing to do with it."""
