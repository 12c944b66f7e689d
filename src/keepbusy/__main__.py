"""`python -m keepbusy`, and the `keepbusy` program: how signals end it, from its first step to its last.

The signals are Ctrl-C (SIGINT), SIGTERM, and SIGHUP, which a closed terminal sends.

- While the program is being loaded nothing has been made: it ends at once.
- Then the first signal raises an exception in the main thread: commands finish their outputs, and the exit code tells.
  The second one changes nothing, since outputs are being finished; the third one ends the program at once without them.
  A thread sees to that: the main thread may be deep inside a library, where Python cannot answer a signal.
- When a command is over nothing is raised any more, and at the very end signals are ignored: the exit code stands.

An exception that comes while the garbage collector drops something is lost in Python: it is raised once more. One that
comes while a module is being loaded can come out as another error: a command that fails behind a signal counts as
interrupted.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

RAISED_AGAIN_S = 0.001

LAST_SIGNAL = 3
"""So many of them end the program without its outputs."""

_STILL_FINISHING = b"keepbusy is finishing its outputs; once more ends it at once, without them\n"

_answered: list[int] = []
"""The signals since the last exception was lost."""

_num_raised_again = 0
"""Signals that came from here."""

_is_over = False
"""Whether the command has ended, and only what it has left is still being closed."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: ends a command like Ctrl-C, with its outputs finished and what was measured kept."""


def main() -> None:
    """Run the program and exit: 0 done, 1 failed, 2 usage, 130 interrupted, 143 terminated, 129 hung up."""
    # A signal that whoever started us has us ignore, as `nohup` does, stays ignored.
    every = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [one for one in every if signal.getsignal(one) != signal.SIG_IGN]
    if sys.argv[1:2] == ["serve"] and hasattr(signal, "SIGHUP"):
        # There it says that the configuration is to be read again, and before it is read for the first time, nothing.
        signal.signal(signal.SIGHUP, _hear)
        numbers = [one for one in numbers if one != signal.SIGHUP]
    global _is_over  # noqa: PLW0603 - signal handlers have no other place to look at
    code: int | str | None = None
    watch: Watch | None = None
    try:
        _answer(numbers, _leave)
        _occupy_standard_streams()
        from keepbusy.cli import main as run

        sys.unraisablehook = _raise_again
        # On Windows only sockets can be told, and there is one signal.
        watch = Watch(numbers) if sys.platform != "win32" else None
        _answer(numbers, _raise)
        run()
    except KeyboardInterrupt:
        code = 128 + (_answered[0] if _answered else signal.SIGINT)
    except SystemExit as error:
        # A command that was interrupted says so with Ctrl-C's code, whatever the signal was.
        is_interrupted = _answered and error.code in (1, 128 + signal.SIGINT)
        code = 128 + _answered[0] if is_interrupted else error.code
    except Exception:
        if not _answered:
            if watch is not None:
                watch.end()
            raise
        code = 128 + _answered[0]
    finally:
        # A plain assignment: no signal is looked for between it and the end of the command.
        _is_over = True
    # Out here the exception is gone, and with it what its frames held: outputs are finished, and compiled models freed
    # before Python ends, behind which OpenVINO's threads can no longer be joined.
    _answer(numbers, signal.SIG_IGN)
    if watch is not None:
        watch.end()
    # Where the interrupt came inside an `exec` of a text, as in a dataclass that is made, Python would end by dying of
    # SIGINT, whatever the exit code (bpo-1054041). The next `exec` makes it forget.
    exec("pass")  # nosec B102
    sys.exit(code)


class Watch:
    """A thread that counts signals, and ends the program at the last one whatever the main thread does.

    Args:
        numbers: The signals.
    """

    def __init__(self, numbers: list[signal.Signals]) -> None:
        import threading

        self._numbers = numbers
        self._hears, self._tells = os.pipe()
        os.set_blocking(self._tells, False)
        self._thread = threading.Thread(target=self._count, name="keepbusy-signals")
        self._thread.start()
        # What Python does of a signal at once, in C: it writes its number there.
        signal.set_wakeup_fd(self._tells, warn_on_full_buffer=False)

    def end(self) -> None:
        """Count no more."""
        signal.set_wakeup_fd(-1)
        os.close(self._tells)
        self._thread.join()
        os.close(self._hears)

    def _count(self) -> None:
        num_signals = 0
        while told := os.read(self._hears, 1):
            num_signals += told[0] in self._numbers
            if num_signals - _num_raised_again >= LAST_SIGNAL:
                _leave(told[0], None)


def _occupy_standard_streams() -> None:
    """Open what the program was started without, as by `>&-`: other files would take their places."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            file = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - for the whole life of the program
            if file.fileno() != number:
                os.dup2(file.fileno(), number)
            setattr(sys, name, file)


def _answer(numbers: list[signal.Signals], handler: signal._HANDLER) -> None:
    for number in numbers:
        signal.signal(number, handler)


def _hear(number: int, frame: FrameType | None) -> None:
    """Of a signal that means nothing yet."""


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


def _raise(number: int, frame: FrameType | None) -> None:
    _answered.append(number)
    if not _is_over and len(_answered) == 1:
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated
    if not _is_over:
        os.write(2, _STILL_FINISHING)


def _raise_again(unraisable: sys.UnraisableHookArgs) -> None:
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    number = _answered[0] if _answered else signal.SIGINT
    _answered.clear()
    # Not `Thread.start`, which has locks: the garbage collector may run inside one of them.
    _thread.start_new_thread(_send, (number,))


def _send(number: int) -> None:
    global _num_raised_again  # noqa: PLW0603 - one count for the whole program
    time.sleep(RAISED_AGAIN_S)
    _num_raised_again += 1
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        # To the process, so that it also wakes the main thread where that waits.
        os.kill(os.getpid(), number)


if __name__ == "__main__":
    main()
