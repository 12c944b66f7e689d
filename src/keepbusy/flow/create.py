"""An engine → a run over it, and its beginning."""

from __future__ import annotations

from keepbusy.config import StreamConfig
from keepbusy.flow.run import Engine, Run
from keepbusy.flow.run_async import AsyncRun
from keepbusy.flow.run_sync import SyncRun
from keepbusy.sources.base import Source


def create_run(engine: Engine) -> Run:
    """Make a run without streams, which does nothing before it begins."""
    return SyncRun(engine) if engine.config.mode == "sync" else AsyncRun(engine)


def begin(run: Run, sources: list[Source] | None, config: StreamConfig) -> Run:
    """Begin a run over some sources, to which none will be added; closed again where that fails.

    Args:
        run: The run.
        sources: Open sources. Those that the run owns are taken out of the list. None for a run that streams are added
            to.
        config: The options of each stream.
    """
    try:
        run.start()
        while sources:
            run.add(sources.pop(0), config)
        if sources is not None:
            run.end()
    except BaseException:
        run.close()
        raise
    return run
