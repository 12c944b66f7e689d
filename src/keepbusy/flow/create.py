"""An engine → a run over it."""

from __future__ import annotations

from keepbusy.flow.run import Engine, Run
from keepbusy.flow.run_async import AsyncRun
from keepbusy.flow.run_sync import SyncRun


def create_run(engine: Engine) -> Run:
    """Make a run without streams, which does nothing before its `start`."""
    return SyncRun(engine) if engine.config.mode == "sync" else AsyncRun(engine)
