"""The answers that are none: their form, and what the description of the API says of them."""

from __future__ import annotations

from typing import Any


def problem(text: str, hint: str = "") -> dict[str, Any]:
    """The body of every answer that is none: KServe's form, with a hint."""
    return {"error": text, **({"hint": hint} if hint else {})}


_PROBLEM: dict[str, Any] = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {"type": "string"}, "hint": {"type": "string"}},
        }
    }
}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": _PROBLEM}
    for status, text in {
        400: "It cannot be read",
        401: "A token is required",
        403: "Not allowed",
        404: "There is no such stream",
        408: "The body did not arrive in time",
        409: "There is one of that name already",
        413: "Too large",
        415: "Not of this type",
        422: "A value that cannot be",
        429: "Too many requests",
        503: "No room, or no device now",
        504: "The device did not get to it in time",
    }.items()
}
