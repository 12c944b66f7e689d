"""`python -m keepbusy`, and the `keepbusy` program: how Ctrl-C and SIGTERM end it, from its first step to its last.

- While the program is being loaded nothing has been made: it ends at once.
- Then the first signal raises an exception in the main thread: commands finish their outputs, and the exit code tells.
  The second one changes nothing, since outputs are being finished; the third one ends the program at once without them.
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
from types import FrameType

EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM

RAISED_AGAIN_S = 0.001

_STILL_FINISHING = b"keepbusy is finishing its outputs; once more ends it at once, without them\n"

_answered: list[int] = []
"""The signals since the last exception was lost."""

_is_over = False
"""Whether the command has ended, and only what it has left is still being closed."""


class Terminated(BaseException):
    """SIGTERM: ends a command like Ctrl-C, with its outputs finished."""


def main() -> None:
    """Run the program and exit: 0 done, 1 failed, 2 usage, 130 interrupted, 143 terminated."""
    # A signal that whoever started us has us ignore, as `nohup` does, stays ignored.
    numbers = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) != signal.SIG_IGN]
    global _is_over  # noqa: PLW0603 - signal handlers have no other place to look at
    code: int | str | None = None
    try:
        _answer(numbers, _leave)
        from keepbusy.cli import main as run

        sys.unraisablehook = _raise_again
        _answer(numbers, _raise)
        run()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except Terminated:
        code = EXIT_TERMINATED
    except SystemExit as error:
        code = 128 + _answered[0] if error.code == 1 and _answered else error.code
    except Exception:
        if not _answered:
            raise
        code = 128 + _answered[0]
    finally:
        # A plain assignment: no signal is looked for between it and the end of the command.
        _is_over = True
    # Out here the exception is gone, and with it what its frames held: outputs are finished, and compiled models freed
    # before Python ends, behind which OpenVINO's threads can no longer be joined.
    _answer(numbers, signal.SIG_IGN)
    sys.exit(code)


def _answer(numbers: list[signal.Signals], handler: signal._HANDLER) -> None:
    for number in numbers:
        signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


def _raise(number: int, frame: FrameType | None) -> None:
    _answered.append(number)
    if len(_answered) > 2:
        _leave(number, frame)
    if not _is_over and len(_answered) == 1:
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated
    if not _is_over:
        os.write(2, _STILL_FINISHING)


def _raise_again(unraisable: sys.UnraisableHookArgs) -> None:
    if not isinstance(unraisable.exc_value, (KeyboardInterrupt, Terminated)):
        sys.__unraisablehook__(unraisable)
        return
    _answered.clear()
    number = signal.SIGINT if isinstance(unraisable.exc_value, KeyboardInterrupt) else signal.SIGTERM
    _thread.start_new_thread(_interrupt, (number,))


def _interrupt(number: signal.Signals) -> None:
    time.sleep(RAISED_AGAIN_S)
    if sys.platform == "win32":
        _thread.interrupt_main(number)
    else:
        # A real signal, which also wakes a thread that waits.
        os.kill(os.getpid(), number)


if __name__ == "__main__":
    main()
