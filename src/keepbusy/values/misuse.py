"""Calls as people write them who expect other arguments: one sentence and a hint in place of Python's own error."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from keepbusy.errors import ConfigError
from keepbusy.texts import shortened

P = ParamSpec("P")
R = TypeVar("R")


class Told(NamedTuple):
    """What is said of a call.

    Attributes:
        message: What is wrong with it; without the name of what was called.
        hint: How it is written here.
    """

    message: str
    hint: str


Explain = Callable[[tuple[Any, ...], Mapping[str, Any]], Told | None]
"""Positional arguments without `self`, and keyword arguments → what is said; None for Python's own error."""


def explained(explain: Explain) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A method whose wrong calls are explained. A call that is right costs nothing more than the wrapper.

    Args:
        explain: Asked where Python refuses the arguments; an error inside the method is left as it is.
    """

    def wrap(method: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(method)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return method(*args, **kwargs)
            except TypeError as error:
                # Refused at the call itself: nothing of the method has run.
                is_refused = error.__traceback__ is not None and error.__traceback__.tb_next is None
                told = explain(args[1:], kwargs) if is_refused else None
                if told is None:
                    raise
                raise ConfigError(f"{method.__name__}: {told.message}", hint=told.hint) from error

        if not inspect.iscoroutinefunction(method):
            return call

        @functools.wraps(method)
        async def wait(*args: P.args, **kwargs: P.kwargs) -> Any:
            return await cast("Any", call(*args, **kwargs))

        return cast("Callable[P, R]", wait)

    return wrap


def is_path(value: object) -> bool:
    """Whether something names a file."""
    return isinstance(value, (str, os.PathLike))


def written(value: object) -> str:
    """An argument as a hint repeats it: a path as it was given, everything else by a name for it."""
    return shortened(repr(os.fspath(cast("Any", value))), 60) if is_path(value) else "image"


def writes_no_file(call: str, how: str) -> Explain:
    """Explains a method that gives something and is asked to write it.

    Args:
        call: What it gives.
        how: What writes it; `{path}` stands for the path that was given.
    """

    def explain(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Told | None:
        given = next((one for one in (*args, *kwargs.values()) if is_path(one)), None)
        if given is None:
            return None
        return Told(f"it gives {call}, and writes no file", f"to write one: {how.format(path=written(given))}")

    return explain


_WORDS: Mapping[str, str] = {
    "filename": "path",
    "file": "path",
    "img": "image",
    "frame": "image",
    "line_thickness": "line_width",
    "show_labels": "labels",
    "show_conf": "conf",
    "class_names": "classes",
    "names": "classes",
    "class_ids": "classes",
    "confidence": "conf",
    "threshold": "conf",
}
"""Names of arguments elsewhere, and here."""


def _renamed(kwargs: Mapping[str, Any]) -> Told | None:
    word = next((word for word in kwargs if word in _WORDS), None)
    return None if word is None else Told(f"it has no argument `{word}`", f"it is called `{_WORDS[word]}` here")


def of_plot(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Told | None:
    """`Detections.plot`."""
    if not args and not {"image", *_WORDS} & kwargs.keys():
        return Told("it needs the picture that they were found in", "write found.plot(image); a Result has its own")
    return _renamed(kwargs)


def of_save(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Told | None:
    """`Detections.save`."""
    path = written(next(filter(is_path, (*args, *kwargs.values())), "out.jpg"))
    if len(args) < 2 and not {"image", *_WORDS} & kwargs.keys():
        missing = "a path" if args and not is_path(args[0]) else "the picture that they were found in"
        return Told(
            f"it needs {missing}, too",
            f"write found.save({path}, image); a Result has its own picture: result.save({path})",
        )
    return _renamed(kwargs)


def of_crops(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Told | None:
    """`Detections.crops`, and `Result.crops`, which takes nothing."""
    if any(map(is_path, (*args, *kwargs.values()))):
        return Told(
            "it gives the pictures, and writes no files", "to write them: keepbusy.open_sink('crops:out/') is a sink"
        )
    if args:
        return Told("the frame has its own picture", "write crops(); detections.crops(image) cuts from another one")
    return Told("it needs the picture that they were found in", "write found.crops(image); a Result has its own")


def of_result_plot(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Told | None:
    """`Result.plot`."""
    if any(map(is_path, (*args, *kwargs.values()))):
        return writes_no_file("the picture", "result.save({path})")(args, kwargs)
    if args:
        return Told("the frame has its own picture", "write plot(); detections.plot(image) draws on another one")
    return _renamed(kwargs)


def of_result_save(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Told | None:
    """`Result.save`."""
    path = written(next(filter(is_path, (*args, *kwargs.values())), "out.jpg"))
    if len(args) > 1 or "image" in kwargs:
        return Told(
            "the frame has its own picture", f"write save({path}); detections.save({path}, image) takes another"
        )
    return _renamed(kwargs) or Told("it needs a path", f"write save({path})")


def of_where(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Told | None:
    """`Detections.where`."""
    if len(args) == 1:
        word = "conf" if isinstance(args[0], float) else "classes"
        return Told("its arguments have names", f"write where({word}={shortened(repr(args[0]), 60)})")
    return Told("its arguments have names", "write where(classes=['person'], conf=0.5)") if args else _renamed(kwargs)
