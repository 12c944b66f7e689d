"""The server's state as JSON: what the API and the page show."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from keepbusy.serve.served import Served
from keepbusy.serve.wall import Wall
from keepbusy.version import __version__


def stream_report(served: Served, wall: Wall) -> dict[str, Any]:
    """One stream: its options, its state, and where its frames have gone."""
    settings = served.settings
    totals = served.totals
    arriving_fps, results_fps, lately = served.rates()
    age_p50_s, age_p99_s = served.ages_s.now(0.5, 0.99)
    hidden = wall.secrets.hidden
    age_s = served.age_s()
    size_wh, decoding = served.size_wh, served.decoding
    return {
        "name": served.name,
        "source": hidden(served.source),
        "origin": served.origin,
        "state": served.state,
        "is_live": served.is_live,
        "decoder": None if decoding is None else decoding.decoder,
        "decoder_reason": "" if decoding is None else hidden(decoding.reason),
        "error": hidden(served.error),
        "weight": settings.weight,
        "max_fps": settings.max_fps,
        "lowered_fps": None if served.lowered.max_fps is None else round(served.lowered.max_fps, 2),
        "max_age_ms": settings.max_age_ms,
        "stall_s": settings.stall_s,
        "thresholds": served.given,
        "sinks": [_sink(output, hidden) for output in served.outputs],
        "width": size_wh[0] if size_wh else None,
        "height": size_wh[1] if size_wh else None,
        "arriving_fps": round(arriving_fps, 2),
        "results_fps": round(results_fps, 2),
        "age_ms": None if math.isinf(age_s) else round(age_s * 1e3, 1),
        "age_p50_ms": None if age_p50_s is None else round(age_p50_s * 1e3, 1),
        "age_p99_ms": None if age_p99_s is None else round(age_p99_s * 1e3, 1),
        "is_stale": age_s > wall.settings.page.stale_after_s,
        "dropped_lately": lately,
        "totals": {**dataclasses.asdict(totals), "dropped": dict(totals.dropped)},
    }


def _sink(output: Any, hidden: Any) -> dict[str, Any]:
    stats = output.stats
    return {
        "sink": hidden(output.word),
        "written": stats.num_written,
        "failed": stats.num_failed,
        "retried": stats.num_retried,
        "dropped": dict(stats.dropped),
        "error": hidden(output.error),
    }


def engine_report(wall: Wall) -> dict[str, Any]:
    """The engine: what runs where, its stages, and what holds it back."""
    engine, streams = wall.engine, wall.streams
    facts = engine.facts
    overload = wall.overload.told()
    verdict = wall.view.verdict(num_streams=len(streams), own=wall.overload.own_causes)
    device = {} if facts is None else {**dataclasses.asdict(facts), "is_fallback": facts.is_fallback}
    return {
        "state": engine.state,
        "error": wall.secrets.hidden(engine.error),
        "device": device,
        "failures": engine.counts.failures,
        "recoveries": engine.counts.recoveries,
        "waiting_requests": wall.requests.num_waiting,
        "verdict": {"code": verdict.code, "sentence": verdict.sentence, "figures": verdict.figures},
        "overload": {**dataclasses.asdict(overload), "since_s": round(overload.since_s, 1)},
        **wall.view.numbers(),
    }


def server_report(wall: Wall) -> dict[str, Any]:
    """What the server is."""
    return {
        "name": "keepbusy",
        "version": __version__,
        "classes": list(wall.names),
        "page": wall.settings.page.model_dump(),
        "limits": wall.settings.limits.model_dump(),
    }
