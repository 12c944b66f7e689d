"""How long detection stands still when a device fails, and what the server says then: `python -m tests.device_faults`.

For each kind of fault a server (a process of its own, its API, default limits) runs on a scripted device that fails so.
Two streams bring frames; a third one's camera accepts connections and never answers. The API and `/metrics` are read
ten times a second: the longest time without a result has to be below ten seconds, and both have to say what really
computes then.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepbusy.config import RunConfig
from keepbusy.errors import DeviceError, ModelError
from keepbusy.flow.run import Run
from keepbusy.serve.configuration.load import load_settings
from keepbusy.serve.configuration.settings import ServeSettings
from keepbusy.serve.run import Told, serve
from keepbusy.serve.supervise.backend import Backend, DeviceFacts
from keepbusy.testing import ScriptedDevice, scripted_run
from tests.served import Server

GOES_ON_WITHIN_S = 10.0
BEGINS_AT = 30
"""The inference that fails first."""

SETTLED_S = 5.0
"""So long nothing more changes."""


@dataclass(frozen=True)
class Kind:
    """What happens.

    Attributes:
        devices: What is made for the wanted device, one after the other; the last one again and again. What raises
            does not compile.
        ends_on: What computes in the end.
        retry_s: When the device is tried again.
    """

    devices: tuple[Callable[[], ScriptedDevice], ...]
    ends_on: str
    retry_s: float = 600.0


def _raises(error: Exception) -> Callable[[], ScriptedDevice]:
    def make() -> ScriptedDevice:
        raise error

    return make


class _HangsAtCompile(ScriptedDevice):
    def create_request(self) -> Any:
        time.sleep(3600)


def _hangs() -> ScriptedDevice:
    return ScriptedDevice(hangs=range(BEGINS_AT, 1 << 30))


def _fails() -> ScriptedDevice:
    return ScriptedDevice(fails=range(BEGINS_AT, 1 << 30))


KINDS = {
    "raises at one frame": Kind((lambda: ScriptedDevice(fails=(BEGINS_AT,)),), "GPU"),
    "raises at every frame, once": Kind((_fails, ScriptedDevice), "GPU"),
    "raises at every frame, for good": Kind((lambda: ScriptedDevice(fails=range(1 << 30)),), "CPU"),
    "cannot be started": Kind((lambda: ScriptedDevice(refuses=range(BEGINS_AT, 1 << 30)), ScriptedDevice), "GPU"),
    "hangs once": Kind((_hangs, ScriptedDevice), "GPU"),
    "hangs again and again": Kind((_hangs,), "CPU"),
    "stalls until it is cancelled": Kind((lambda: ScriptedDevice(stalls=(BEGINS_AT,)), ScriptedDevice), "GPU"),
    "hangs, then does not compile": Kind((_hangs, _raises(ModelError("does not compile"))), "CPU"),
    "hangs, then at compiling, too": Kind((_hangs, _HangsAtCompile), "CPU"),
    "hangs, is gone, comes back": Kind((_hangs, _raises(DeviceError("is gone")), ScriptedDevice), "GPU", 3.0),
}


class Scripted:
    """A model on a scripted device."""

    names: tuple[str, ...] = ("red", "green", "blue")

    def __init__(self, settings: ServeSettings, device: str, make: Callable[[], ScriptedDevice]) -> None:
        self._settings, self._device, self._make = settings, device, make

    def start(self, live_fps: float | None = None) -> Run:
        config = RunConfig(on_error="skip", nireq=4, device_timeout_s=self._settings.device_timeout_s)
        return scripted_run(None, self._make(), config)

    def facts(self) -> DeviceFacts:
        return DeviceFacts(wanted=self._settings.device, device=self._device, full_name=f"scripted {self._device}")

    def close(self) -> None:
        pass


def serve_scripted(file: str, name: str) -> None:
    """The server's process."""
    devices = KINDS[name].devices
    num_made = 0

    def make(settings: ServeSettings, device: str) -> Backend:
        nonlocal num_made
        if device == "CPU":
            return Scripted(settings, device, ScriptedDevice)
        num_made += 1
        return Scripted(settings, device, devices[min(num_made, len(devices)) - 1])

    def listening(address: str) -> None:
        sys.stderr.write(f"keepbusy serves at {address}\n")
        sys.stderr.flush()

    serve(load_settings(file), make=make, told=Told(listening))


@dataclass
class Seen:
    """What came of a fault.

    Attributes:
        longest_s: The longest time without a result.
        api: The device by the API, in the end.
        metrics: The device by `/metrics`, in the end.
        devices: The devices that computed, in their order.
        failures: How often the device has failed, by the API.
    """

    longest_s: float
    api: str
    metrics: str
    devices: list[str]
    failures: int


def measure(name: str, folder: Path, lasts_s: float = 60.0) -> Seen:
    """Have a server live through a fault."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        streams: list[dict[str, Any]] = [{"source": f"synth:street?seed={seed}&size=96x64&fps=20"} for seed in range(2)]
        streams.append({"name": "silent", "source": f"rtsp://127.0.0.1:{silent.getsockname()[1]}/none"})
        config = {"device": "GPU", "device_retry_s": KINDS[name].retry_s, "server": {"port": 0}, "streams": streams}
        config["limits"] = {"requests_per_s": 1000}
        path = folder / "wall.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        command = [sys.executable, "-m", "tests.device_faults", "--serve", str(path), "--kind", name]
        with subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8") as process:
            server = Server(process)
            assert server.address, server.text
            try:
                return _watch(server, KINDS[name], lasts_s)
            finally:
                server.end()


def _watch(server: Server, kind: Kind, lasts_s: float) -> Seen:
    seen = Seen(0.0, "", "", [], 0)
    num_before = -1
    changed_s = begin_s = settled_s = time.monotonic()
    while time.monotonic() < begin_s + lasts_s:
        time.sleep(0.1)
        totals = [one["totals"] for one in server.ask("/api/streams").json]
        num = sum(one["results"] - one["errors"] for one in totals)
        engine = server.ask("/api/engine").json
        now_s = time.monotonic()
        if sum(one["results"] for one in totals) == 0:
            changed_s = now_s  # It has not begun: the first result may be an error.
        else:
            seen.longest_s = max(seen.longest_s, now_s - changed_s)
        if num != num_before:
            num_before, changed_s = num, now_s
            device = engine["device"].get("device", "")
            if engine["state"] == "running" and (not seen.devices or seen.devices[-1] != device):
                seen.devices.append(device)
        seen.failures = engine["failures"]
        is_settled = num > 2 * BEGINS_AT and seen.devices[-1:] == [kind.ends_on] and now_s - changed_s < 1
        if not is_settled:
            settled_s = now_s
        elif now_s - settled_s > SETTLED_S:
            break
    seen.api = server.ask("/api/engine").json["device"].get("device", "")
    found = re.search(r'^keepbusy_device_info\{.*?device="(\w*)"', server.ask("/metrics").body.decode(), re.M)
    seen.metrics = found[1] if found else ""
    return seen


def wrong_with(name: str, seen: Seen) -> list[str]:
    """What should have been otherwise, a line each."""
    wrong = []
    if seen.longest_s >= GOES_ON_WITHIN_S:
        wrong.append(f"{name}: no result for {seen.longest_s:.1f} s")
    if not seen.api == seen.metrics == KINDS[name].ends_on == seen.devices[-1]:
        wrong.append(f"{name}: runs on {seen.devices}, the API says {seen.api}, the metrics {seen.metrics}")
    return wrong


def main() -> int:
    """Do it as the arguments say; 0 where all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", action="append", choices=list(KINDS))
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve_scripted(given.serve, given.kind[0])
        return 0
    wrong: list[str] = []
    for name in given.kind or KINDS:
        with tempfile.TemporaryDirectory() as folder:
            seen = measure(name, Path(folder))
        print(
            f"{name:32} no result for {seen.longest_s:4.1f} s at most; {seen.failures} failures; "
            f"{' -> '.join(seen.devices)}",
            flush=True,
        )
        wrong += wrong_with(name, seen)
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    print("\n".join([*wrong, f"{len(wrong)} things wrong; load {load}"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
