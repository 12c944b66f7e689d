"""Usage statistics of OpenVINO and NNCF, which keepbusy does not let them send.

Both send by the package `openvino-telemetry`, and do without where it cannot be imported. With it `import openvino`
alone is enough: a process is started that looks up a server and tells it the versions, the operating system, and an id
that is kept in the home folder.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, cast

_SENDER = "openvino_telemetry"


def forbid_sender() -> None:
    """Keep the package that sends from being imported, for as long as this process runs; for keepbusy's programs."""
    # This is how Python is told that a module is not there.
    sys.modules.setdefault(_SENDER, cast("Any", None))


@contextlib.contextmanager
def without_sender() -> Iterator[None]:
    """Within it the package that sends cannot be imported; where it has been already, nothing changes.

    What is imported within it sends nothing later either. Programs that use keepbusy can still import the package
    itself.
    """
    if _SENDER in sys.modules:
        yield
        return
    forbid_sender()
    try:
        yield
    finally:
        if sys.modules.get(_SENDER) is None:
            sys.modules.pop(_SENDER, None)


def import_openvino() -> Any:
    """OpenVINO, which sends nothing unless the program has imported it before keepbusy does."""
    with without_sender():
        import openvino
    return openvino
