"""The program's commands: each is imported when it is called, so that none waits for what the others need."""

from __future__ import annotations

import importlib
import os
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from keepbusy.cli.command import Command, UsageError, hide_type
from keepbusy.errors import ConfigError

COMMANDS = {
    "batch": (
        "batch",
        "Run a detector over any number of files, on all cores, into tables; the same command goes on after any end.",
    ),
    "batch export": ("export", "Write what a batch has found as COCO, YOLO labels, CSV or JSON Lines."),
    "batch status": ("status", "Tell how far a batch is, what has failed, and whether its shards are whole."),
    "bench": ("bench", "Measure what the device does alone, what it does end to end, and what holds it back."),
    "detect": ("detect", "Run a detector over videos, pictures, folders, cameras and streams."),
    "demo": (
        "demo",
        "Show the main job on what the package carries: its own clip and its own model, nothing to download.",
    ),
    "devices": (
        "devices",
        "List the devices that OpenVINO can use here, with full names and capabilities, and the hardware decoders.",
    ),
    "eval": (
        "evaluate",
        "Score a detector against labelled data: COCO's mAP, by size and class, through the real pipeline.",
    ),
    "model-info": ("model_info", "Tell what a model is: inputs, outputs, family, classes, operations, parameters."),
    "models": ("models", "List the models that --model takes by name, with sizes and licences."),
    "optimize": (
        "optimize",
        "Save a model in its quickest form: head and input rewritten, or INT8 as well. Exit code 1 if it does not pay.",
    ),
    "plan": (
        "plan",
        "Find out how many such cameras fit this machine, at what rate and age, and what limits them.",
    ),
    "query": ("query", "Ask what a batch has found, in SQL: tables `detections` and `frames`, read-only."),
    "serve": ("serve", "Watch streams: a page with live pictures and boxes, an HTTP API, KServe v2, Prometheus."),
    "tune": (
        "tune",
        "Find the options that are fastest here, end to end, and write them as a profile for `keepbusy detect`.",
    ),
    "verify": (
        "verify",
        "Prove that a device, a precision or a converted model finds what the reference finds. Exit code 1 if not.",
    ),
}
"""What it is called → its function, in the module of the command's name, and the first line of that one's text."""

FIRST_WORDS = [name for name in COMMANDS if " " not in name]
"""Commands that are one word; those of two follow one of these."""

CONTEXT = {"help_option_names": ["-h", "--help"]}


class Commands(TyperGroup):
    """The commands in the list of all; the one that is called is imported."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = {name: TyperCommand(name, help=text) for name, (_, text) in COMMANDS.items()}

    def get_help_option(self, ctx: Any) -> Any:
        return hide_type(super().get_help_option(ctx))

    def get_params(self, ctx: Any) -> list[Any]:
        return [hide_type(param) for param in super().get_params(ctx)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            if not hasattr(error, "possibilities"):
                raise
            from keepbusy.cli.usage import no_command

            raise no_command(str(getattr(error, "option_name", "")), FIRST_WORDS) from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Which command some arguments begin with, and the arguments behind it.

        Raises:
            ConfigError: There is no such command.
        """
        if not ctx.resilient_parsing:
            from keepbusy.cli.habit_commands import meant

            args = meant(args, FIRST_WORDS)
            if args and args[0] not in COMMANDS:
                from keepbusy.cli.usage import no_command

                raise no_command(args[0], FIRST_WORDS)
            args = _joined(args)
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load_command(args[0])
        return super().resolve_command(ctx, args)


def module_of(name: str) -> str:
    """The module in `keepbusy.cli` that has a command."""
    return name.replace("-", "_").replace(" ", "_")


def _joined(args: list[str]) -> list[str]:
    """A command line whose command may have two words, as `batch status` has.

    Raises:
        ConfigError: The second word is the name of a file, too, and stands where a source is likely.
    """
    name = " ".join(args[:2])
    if len(args) < 2 or " " not in name or name not in COMMANDS:
        return args
    if os.path.lexists(args[1]) and {"-o", "--output"} & set(args):
        raise ConfigError(
            f"{args[1]}: is a file here, and a command behind {args[0]}", hint=f"write ./{args[1]} for the file"
        )
    return [name, *args[2:]]


def load_command(name: str) -> Any:
    """Import a command; what Typer makes of it."""
    function, _ = COMMANDS[name]
    module = importlib.import_module(f"keepbusy.cli.{module_of(name)}")
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=CONTEXT)
    alone.command(name, cls=Command)(getattr(module, function))
    return typer.main.get_command(alone)
