"""Prometheus: base units, histograms, and help texts that say what a bad value means."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from keepbusy.flow.stream import StreamState
from keepbusy.serve.engine import EngineState
from keepbusy.serve.histogram import REQUEST_BUCKETS_S, Seconds
from keepbusy.serve.wall import Wall
from keepbusy.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

ENGINE_STATES: tuple[str, ...] = get_args(EngineState)

STREAM_STATES: tuple[str, ...] = get_args(StreamState)


class HttpCounts:
    """How many requests were answered, and how long that took. Thread-safe."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str, int], int] = {}
        self.seconds: dict[str, Seconds] = {}
        self._lock = threading.Lock()

    def add(self, route: str, method: str, status: int, took_s: float) -> None:
        """A request was answered. Routes are patterns, of which there are few; methods are those that are known."""
        method = method if method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT") else "other"
        with self._lock:
            key = (route, method, status)
            self.counts[key] = self.counts.get(key, 0) + 1
            seconds = self.seconds.setdefault(route, Seconds(REQUEST_BUCKETS_S))
        seconds.add(took_s)


class Reloads:
    """How often a configuration was read again."""

    def __init__(self) -> None:
        self.num_good = 0
        self.num_bad = 0


class Metrics(Collector):
    """All that is exported, read when it is asked for.

    Args:
        wall: The streams and the engine.
        http: The requests.
        reloads: The configurations.
        num_viewers: Returns how many pages and listeners are here.
    """

    def __init__(self, wall: Wall, http: HttpCounts, reloads: Reloads, num_viewers: Any) -> None:
        self._wall = wall
        self._http = http
        self._reloads = reloads
        self._num_viewers = num_viewers
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterator[Any]:
        return iter(())

    def collect(self) -> Iterator[Any]:
        yield from self._engine()
        yield from self._streams()
        yield from self._sinks()
        yield from self._server()

    def _engine(self) -> Iterator[Any]:
        engine, view = self._wall.engine, self._wall.view
        facts = engine.facts
        labels = ["wanted", "device", "name", "precision", "model", "head", "input", "hint"]
        info = GaugeMetricFamily(
            "keepbusy_device_info",
            "What really runs where, always 1. Where `device` is not what is `wanted`, another device stands in for "
            "one that failed. `hint`: `latency` where it does one frame after the other, for the freshest results, "
            "because the streams leave time for that; else `throughput`.",
            labels=labels,
        )
        if facts is not None:
            size = f"{facts.input_wh[0]}x{facts.input_wh[1]}"
            values = [facts.wanted, facts.device, facts.full_name, facts.precision, facts.model, facts.head, size]
            values.append(facts.hint)
            info.add_metric(values, 1)
        yield info
        state = GaugeMetricFamily(
            "keepbusy_engine_state",
            "1 for what the engine does now. Anything but `running` for longer than a minute means that nothing is "
            "inferred.",
            labels=["state"],
        )
        for name in ENGINE_STATES:
            state.add_metric([name], float(engine.state == name))
        yield state
        yield GaugeMetricFamily(
            "keepbusy_overload_step",
            "The step of the ladder under lasting overload that was taken last; 0: none. Above 0 the device is too "
            "slow for its streams: frames are left out, or the input or the model is a smaller one. /api/engine says "
            "which.",
            value=self._wall.overload.told().step,
        )
        yield _counter(
            "keepbusy_device_failures",
            "How often the device hung, failed or could not be used. Any rise is worth a look at the driver's log.",
            engine.counts.failures,
        )
        yield _counter(
            "keepbusy_device_recoveries", "How often a model was compiled anew after that.", engine.counts.recoveries
        )
        stages = view.stage_seconds()
        for name, attribute, text in (
            (
                "busy",
                "busy_s",
                "Seconds that a stage has worked, over all its threads. The one closest to its threads' "
                "whole time holds the others back.",
            ),
            ("wait_input", "wait_input_s", "Seconds that a stage had nothing to work on: the one before it is slow."),
            ("wait_output", "wait_output_s", "Seconds that nobody took what a stage had done: the one behind is slow."),
        ):
            family = CounterMetricFamily(f"keepbusy_stage_{name}_seconds", text, labels=["stage"])
            for stage, seconds in stages.items():
                family.add_metric([stage], getattr(seconds, attribute))
            yield family
        frames = CounterMetricFamily("keepbusy_stage_frames", "Frames that a stage has finished.", labels=["stage"])
        for stage, seconds in stages.items():
            frames.add_metric([stage], seconds.frames)
        yield frames
        yield _histogram(
            "keepbusy_infer_seconds",
            "From the start of an inference to its end on the device. Longer ones at the same number of streams: the "
            "device is throttled, or shared.",
            {(): view.infer_s},
            [],
        )
        yield GaugeMetricFamily(
            "keepbusy_requests_waiting",
            "Pictures by HTTP that wait or are on the device. Near `limits.waiting_requests`, clients get 503.",
            value=self._wall.requests.num_waiting,
        )

    def _streams(self) -> Iterator[Any]:
        streams = self._wall.streams
        state = GaugeMetricFamily(
            "keepbusy_stream_state",
            "1 for what a stream does now. `stalled`: it is open, and no frame has come for `stall_s`. `waiting`: it "
            "failed, and is opened again soon. `opening` for long: nothing answers there.",
            labels=["stream", "state"],
        )
        counters = {
            "arrived": _frames("arrived", "Frames that the source has given. Standing still: it delivers nothing."),
            "results": _frames("results", "Frames that have a result, failed ones included."),
            "errors": _frames("errors", "Results that carry an error. A rise: damaged data, or a device that fails."),
        }
        found = CounterMetricFamily("keepbusy_stream_detections", "Detections in results.", labels=["stream"])
        reopened = CounterMetricFamily(
            "keepbusy_stream_reopened", "How often the source was opened again: how unsteady it is.", labels=["stream"]
        )
        dropped = CounterMetricFamily(
            "keepbusy_stream_dropped_frames",
            "Frames without a result, by cause. `overload`: newer ones came first, the device is too slow. `stale`: "
            "they were older than max_age_ms. `nonref`, `nonkey`: there was no time to decode them, the cores are too "
            "slow, or the ladder under overload sheds them. `rate`: that has lowered their stream's rate, see "
            "keepbusy_overload_step. `decode_error`: damaged on the way, the network loses data. `reconnect`: they "
            "waited in a connection that was lost. `stopping`: a stream or a run was ended. Arrived = results + "
            "dropped + in flight, at every moment.",
            labels=["stream", "cause"],
        )
        in_flight = GaugeMetricFamily("keepbusy_stream_in_flight_frames", "Frames on their way.", labels=["stream"])
        age = GaugeMetricFamily(
            "keepbusy_stream_picture_age_seconds",
            "How old the newest picture is. Rising second by second: the stream is dead.",
            labels=["stream"],
        )
        info = GaugeMetricFamily(
            "keepbusy_stream_info",
            "What really decodes a stream, always 1; empty while it is not open. Where `decoder` is not what is "
            "`wanted`, software stands in, and the API tells why.",
            labels=["stream", "wanted", "decoder"],
        )
        for served in streams:
            name, totals = served.name, served.totals
            decoding = served.decoding
            info.add_metric([name, served.decoder, "" if decoding is None else decoding.decoder], 1)
            now = served.state
            for one in STREAM_STATES:
                state.add_metric([name, one], float(one == now))
            for attribute, family in counters.items():
                family.add_metric([name], getattr(totals, attribute))
            found.add_metric([name], totals.detections)
            reopened.add_metric([name], totals.reopened)
            for cause, count in sorted(totals.dropped.items()):
                dropped.add_metric([name, cause], count)
            in_flight.add_metric([name], totals.in_flight)
            age.add_metric([name], served.age_s())
        yield from (state, info, *counters.values(), found, reopened, dropped, in_flight, age)
        yield _histogram(
            "keepbusy_stream_age_seconds",
            "From a frame's arrival, before it is decoded, to its result being handed to sinks and pages. Near "
            "max_age_ms: the device is too slow for its streams.",
            {(served.name,): served.ages_s for served in streams},
            ["stream"],
        )

    def _sinks(self) -> Iterator[Any]:
        labels = ["stream", "sink"]
        written = CounterMetricFamily("keepbusy_sink_written_results", "Results that a sink has taken.", labels=labels)
        failed = CounterMetricFamily(
            "keepbusy_sink_failed_results",
            "Results that a sink could not take. A rise: a full disk, or a broker that is away.",
            labels=labels,
        )
        dropped = CounterMetricFamily(
            "keepbusy_sink_dropped_results",
            "Results that a sink was not given because it was behind, by cause. A rise: the sink is too slow.",
            labels=[*labels, "cause"],
        )
        for served in self._wall.streams:
            for output in list(served.outputs):
                key, stats = [served.name, self._wall.secrets.hidden(output.word)], output.stats
                written.add_metric(key, stats.num_written)
                failed.add_metric(key, stats.num_failed)
                for cause, count in sorted(stats.dropped.items()):
                    dropped.add_metric([*key, cause], count)
        yield from (written, failed, dropped)

    def _server(self) -> Iterator[Any]:
        build = GaugeMetricFamily("keepbusy_build_info", "The version, always 1.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield GaugeMetricFamily(
            "keepbusy_viewers", "Pages and listeners that are here.", value=float(self._num_viewers())
        )
        reloads = CounterMetricFamily(
            "keepbusy_config_reloads",
            "Configurations that were read again. `bad`: it had mistakes, and the one before stays in force.",
            labels=["outcome"],
        )
        reloads.add_metric(["good"], self._reloads.num_good)
        reloads.add_metric(["bad"], self._reloads.num_bad)
        yield reloads
        requests = CounterMetricFamily(
            "keepbusy_http_requests",
            "Requests that were answered. 429 and 503: limits are reached. 401 and 403: somebody tries.",
            labels=["route", "method", "status"],
        )
        for (route, method, status), count in sorted(self._http.counts.items()):
            requests.add_metric([route, method, str(status)], count)
        yield requests
        yield _histogram(
            "keepbusy_http_request_seconds",
            "How long answers took.",
            {(route,): seconds for route, seconds in sorted(self._http.seconds.items())},
            ["route"],
        )


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)


def _frames(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"keepbusy_stream_{name}_frames", text, labels=["stream"])


def _histogram(name: str, text: str, of: dict[tuple[str, ...], Seconds], labels: list[str]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, seconds in of.items():
        buckets, sum_s = seconds.buckets()
        family.add_metric(list(key), buckets, sum_s)
    return family
