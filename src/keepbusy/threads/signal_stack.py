"""The stack on which a thread's signals are handled, and what OpenVINO does to it.

On a CPU with AMX, OpenVINO gives each thread in which it loads its CPU plugin a stack of 20 kB for signals. Python
handles its signals on such a stack where there is one. AMX's registers alone fill more than half of it, and the dynamic
linker saves them once more where a function is called for the first time: a signal that is to end the program, or to
have its configuration read again, ends it with a segmentation fault.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator


class _Stack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("ss_sp", ctypes.c_void_p), ("ss_flags", ctypes.c_int), ("ss_size", ctypes.c_size_t))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Stack) and bytes(self) == bytes(other)

    __hash__ = None  # type: ignore[assignment]


@contextlib.contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Have the calling thread's signals handled afterwards where they were before."""
    before = signal_stack()
    try:
        yield
    finally:
        if before is not None and signal_stack() != before:
            ctypes.CDLL(None).sigaltstack(ctypes.byref(before), None)


def signal_stack() -> ctypes.Structure | None:
    """The calling thread's alternative stack for signals; None where this is no Linux."""
    if sys.platform != "linux":
        return None
    found = _Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
    return found
