"""Who may do what: tokens, cookies, hosts, origins. All comparisons of secrets take constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from keepbusy.serve.configuration.loopback import is_loopback
from keepbusy.serve.configuration.settings import ServerSettings

Role = Literal["none", "viewer", "admin"]

COOKIE = "keepbusy"

_ALL_ADDRESSES = frozenset({"0.0.0.0", "::", "[::]"})  # nosec B104 # It is compared with, not bound to.


class Access:
    """Thread-safe: nothing in it changes.

    Args:
        server: Tokens and names.
    """

    def __init__(self, server: ServerSettings) -> None:
        tokens: dict[Role, str] = {}
        if server.token is not None:
            tokens["admin"] = server.token.get_secret_value()
        if server.viewer_token is not None:
            tokens["viewer"] = server.viewer_token.get_secret_value()
        self._tokens = tokens
        self._cookies: dict[Role, str] = {role: _cookie_of(token) for role, token in tokens.items()}
        self._hosts = {host.lower() for host in (*server.allowed_hosts, server.host)}
        self._is_loopback = is_loopback(server.host)
        self._is_any_host = server.host in _ALL_ADDRESSES and not server.allowed_hosts

    @property
    def is_open(self) -> bool:
        """Whether everybody who reaches it may do everything: on this machine only, without a token."""
        return not self._tokens

    def role_of(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Role:
        """What a client may do, by its header `Authorization: Bearer TOKEN` or its cookie."""
        if self.is_open:
            return "admin"
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return _match(self._tokens, token.strip())
        return _match(self._cookies, cookies.get(COOKIE, ""))

    def cookie_for(self, token: str) -> tuple[Role, str]:
        """A token → what it allows, and the cookie that stands for it."""
        role = _match(self._tokens, token)
        return role, self._cookies.get(role, "")

    def knows_host(self, host: str) -> bool:
        """Whether the header `Host` names this server: a page of somebody else, whose name leads here, does not."""
        if self._is_any_host and not self.is_open:
            return True
        name = _split(f"//{host}")[0] if host else ""
        return name in self._hosts or f"[{name}]" in self._hosts or (self._is_loopback and is_loopback(name))

    @staticmethod
    def is_own_origin(origin: str | None, host: str) -> bool:
        """Whether a request comes from a page of this server, or from no page at all."""
        if origin is None:
            return True
        return _split(origin)[1] == host.lower()


def _split(address: str) -> tuple[str, str]:
    """The host of an address, and the same with its port; empty where it is none, such as `//[`."""
    try:
        parts = urlsplit(address)
        return parts.hostname or "", parts.netloc.lower()
    except ValueError:
        return "", ""


def _cookie_of(token: str) -> str:
    return hmac.new(token.encode(), b"keepbusy cookie", hashlib.sha256).hexdigest()


def _match(known: Mapping[Role, str], given: str) -> Role:
    found: Role = "none"
    for role, secret in known.items():
        if hmac.compare_digest(secret.encode(), given.encode("utf-8", "surrogateescape")):
            found = role
    return found
