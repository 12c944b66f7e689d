"""A command line that the parser refuses → one error that says what was given, and one hint that says what to write."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from keepbusy.cli.meaning import meant_command, meant_option, words_of
from keepbusy.errors import ConfigError

_MODELS = (".xml", ".onnx", ".pt", ".bin")


def refused(error: Any, command: str, params: Sequence[Any], words: Sequence[str] = ()) -> ConfigError:
    """What to say where a command's words cannot be parsed.

    Args:
        error: The parser's error.
        command: The command.
        params: Its options and arguments.
        words: What stands behind the command.
    """
    help_hint = f"`keepbusy {command} --help` lists the options"
    given = str(getattr(error, "option_name", "") or "")
    if hasattr(error, "possibilities"):
        return ConfigError(
            f"{given}: keepbusy {command} has no such option",
            hint=hint_for_key(given, command) or _meant(given, command, params) or help_hint,
        )
    param = getattr(error, "param", None) or _param_of(given, params)
    message = _plain(str(error.message))
    if param is None:
        extra = re.search(r"extra argument\S* \((.*)\)", message)
        what = f"{extra[1]}: keepbusy {command} takes no more words" if extra else message
        return ConfigError(what, hint=help_hint)
    name = _name_of(param)
    if given:
        is_missing = "argument" in message
        return ConfigError(
            f"{name}: a value is missing" if is_missing else f"{name}: {message}", hint=f"write {_usage(param)}"
        )
    if not message:
        return ConfigError(f"{name}: is missing", hint=f"write {_usage(param)}")
    return ConfigError(f"{name}: {_in_our_words(message, param, words)}", hint=f"write {_usage(param)}")


def hint_for_key(given: str, command: str) -> str:
    """What to say of an option that is none of the server, where its configuration has such a key; empty where not."""
    if command != "serve":
        return ""
    try:
        from keepbusy.serve.configuration.settings import ServerSettings, ServeSettings, StreamSettings
    except ImportError:  # The extra is missing, as the command says itself.
        return ""
    key = given.lstrip("-").replace("-", "_")
    places = ((ServeSettings, "the configuration"), (StreamSettings, "a stream of the configuration"))
    for kind, place in (*places, (ServerSettings, "`server:` in the configuration")):
        if key in kind.model_fields:
            return f"it is a key of {place}: write `{key}: ...` into CONFIG.yaml, and name that file"
    return ""


def _in_our_words(message: str, param: Any, words: Sequence[str]) -> str:
    """What is wrong with a value, for what the parser itself says of numbers."""
    values = [
        word.partition("=")[2] if "=" in word else after
        for word, after in pairwise([*words, ""])
        if word.partition("=")[0] in param.opts
    ]
    low, high = getattr(param, "min", None), getattr(param, "max", None)
    allowed = f"{low:g} or more" if high is None and low is not None else f"{low} to {high}"
    for told, ours in (
        ("valid integer", "is no whole number"),
        ("valid number", "is no number"),
        ("should be", f"is out of range: give {allowed}"),
        ("not in the range", f"is out of range: give {allowed}"),
    ):
        if told in message and values:
            return f"{values[-1]} {ours}"
    return message


def no_command(word: str, commands: Sequence[str]) -> ConfigError:
    """What to say of a first word that is no command.

    Args:
        word: As it was given.
        commands: The commands that there are.
    """
    if word.startswith("-"):
        return ConfigError(
            f"{word}: is no option of keepbusy itself", hint=f"name the command first: keepbusy detect {word} ..."
        )
    if word.lower().rstrip("/").endswith((*_MODELS, "_openvino_model")):
        return ConfigError(f"{word}: is a model, not a command", hint=f"write keepbusy detect SOURCE --model {word}")
    if os.path.lexists(word) or "://" in word or word.startswith("synth:") or word.isdecimal():
        return ConfigError(f"{word}: is a source, not a command", hint=f"write keepbusy detect {word}")
    near = meant_command(word, commands)
    meant = f"did you mean keepbusy {near}? " if near else ""
    return ConfigError(
        f"{word}: keepbusy has no such command",
        hint=f"{meant}the commands are {', '.join(commands)}; `keepbusy --help`",
    )


def _meant(given: str, command: str, params: Sequence[Any]) -> str:
    names = {_name_of(param): words_of(str(getattr(param, "help", "") or "")) for param in params}
    found = meant_option(given, names, command)
    by_name = {_name_of(param): param for param in params}
    told = [_usage(by_name[name]) for name in found]
    return f"did you mean {', or '.join(told)}? `keepbusy {command} --help` lists the options" if told else ""


def _param_of(given: str, params: Sequence[Any]) -> Any:
    return next((param for param in params if given and given in param.opts), None)


def _name_of(param: Any) -> str:
    if param.param_type_name == "argument":
        return str(param.metavar or param.name).upper()
    return str(next((flag for flag in param.opts if flag.startswith("--")), param.opts[0]))


def _usage(param: Any) -> str:
    """`--conf 0..1 (lowest confidence)`."""
    name = _name_of(param)
    value = "" if param.param_type_name == "argument" else str(param.metavar or "")
    told = _plain(str(getattr(param, "help", "") or "")).split(". ")[0].rstrip(".")
    return f"{name}{' ' + value if value else ''}{f' ({_in_a_sentence(told)})' if told else ''}"


def _in_a_sentence(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _plain(text: str) -> str:
    return text.replace("\\[", "[").rstrip(".")
