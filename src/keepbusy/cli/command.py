"""A command of the program: what `--debug` and `--quiet` mean, how its words are read, and how its help looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand

from keepbusy.cli.notes import hide_notes, name_keys

UsageError: Any = typer.BadParameter.__mro__[1]
"""What the parser raises for words that it cannot take."""


@dataclass(slots=True)
class Wishes:
    """What was asked of the program itself; handed to its commands as the context's object.

    Attributes:
        is_debug: Show tracebacks.
        has_keys: What the library names as an option is a key of the command's configuration, and no option of the
            command.
    """

    is_debug: bool = False
    has_keys: bool = False


class Command(TyperCommand):
    """A command that tells the program what was asked of it, before it does its work.

    It takes words of other programs, too (`keepbusy.cli.habits`), and says in one error and one hint what is wrong with
    those that it does not know.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for param in self.params:
            hide_type(param)

    def get_help_option(self, ctx: Any) -> Any:
        return hide_type(super().get_help_option(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        from keepbusy.cli.habits import Known, translated

        name = str(self.name)
        values = {
            flag: 0 if getattr(param, "is_flag", False) else param.nargs
            for param in self.params
            if param.param_type_name == "option"
            for flag in param.opts
        }
        values |= {flag: 0 for flag in ctx.help_option_names}
        arguments = frozenset(
            str(param.metavar or param.name).upper() for param in self.params if param.param_type_name == "argument"
        )
        words = translated(name, args, Known(values, arguments))
        try:
            return super().parse_args(ctx, list(words))
        except UsageError as error:
            from keepbusy.cli.usage import refused

            raise refused(error, name, self.params, words) from error

    def invoke(self, ctx: Any) -> Any:
        wishes = ctx.find_object(Wishes)
        if wishes is not None:
            wishes.is_debug = ctx.params.get("debug", False)
            wishes.has_keys = self.name == "serve"
            name_keys(is_wished=wishes.has_keys)
            if ctx.params.get("quiet", False):
                hide_notes()
        return super().invoke(ctx)


def hide_type(param: Any) -> Any:
    """Keep help from showing a type of Python beside a switch or an argument; returns it."""
    if param is None:
        return None
    if param.param_type_name == "argument":
        param.display_type_rich = lambda ctx: None
    elif getattr(param, "is_flag", False) and param.metavar is None:
        param.metavar = ""
    return param
