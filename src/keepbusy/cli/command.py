"""What `--debug` and `--quiet` mean to the program, whichever command has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from typer.core import TyperCommand

from keepbusy.cli.notes import hide_notes


@dataclass(slots=True)
class Wishes:
    """What was asked of the program itself; handed to its commands as the context's object.

    Attributes:
        is_debug: Show tracebacks.
    """

    is_debug: bool = False


class Command(TyperCommand):
    """A command that tells the program what was asked of it, before it does its work."""

    def invoke(self, ctx: Any) -> Any:
        wishes = ctx.find_object(Wishes)
        if wishes is not None:
            wishes.is_debug = ctx.params.get("debug", False)
            if ctx.params.get("quiet", False):
                hide_notes()
        return super().invoke(ctx)
