"""Streams that clients have added are there again when the server is started again, and no file is written over."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from keepbusy.errors import SinkError
from keepbusy.serve.kept import Kept, KeptError
from keepbusy.serve.load import check_settings, check_stream
from keepbusy.serve.wall import Wall
from tests.serve_kills import kill_again_and_again
from tests.served import serving

STREET = "synth:street?size=64x64&fps=10"


def test_streams_that_clients_have_added_are_there_again(tmp_path: Path) -> None:
    server: dict[str, Any] = {"port": 0, "state_file": str(tmp_path / "added.json"), "allow_sources": ["synth:"]}
    config: dict[str, Any] = {"streams": [{"name": "a", "source": STREET}], "server": server}
    added = {"name": "b", "source": f"{STREET}&seed=2", "conf": 0.4}
    with serving(config, tmp_path) as one:
        one.wait_until_ready(1)
        for name in ("b", "c", "d"):
            assert one.ask("/api/streams", "POST", {**added, "name": name}).status == 201
        assert one.ask("/api/streams/c", "DELETE").status == 204
        assert one.ask("/api/streams/b", "PATCH", {"conf": 0.6}).status == 200
        one.process.kill()
    assert stat.S_IMODE((tmp_path / "added.json").stat().st_mode) == 0o600
    config["streams"] += [{"name": "d", "source": f"{STREET}&seed=9"}]
    with serving(config, tmp_path) as one:
        one.wait_until_ready(3)
        found = {stream["name"]: stream for stream in one.ask("/api/streams").json}
        assert set(found) == {"a", "b", "d"} and found["b"]["thresholds"] == {"conf": 0.6}
        assert found["b"]["origin"] == "api" and found["d"]["origin"] == "file"
        assert "stream d already" in one.text
    server["allow_sources"] = []
    with serving(config, tmp_path) as one:
        one.wait_until_ready(2)
        assert {stream["name"] for stream in one.ask("/api/streams").json} == {"a", "d"}
        assert "b: is not taken up again" in one.text


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[{"name": "a"}]', "\xff"])
def test_a_file_that_cannot_be_read_is_put_aside(text: str, tmp_path: Path) -> None:
    path = tmp_path / "added.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(KeptError, match="cannot be read"):
        Kept(path).read()
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("added-") and aside.read_text(encoding="latin-1") == text
    assert Kept(path).read() == []


def test_what_cannot_be_kept_is_told_and_the_stream_goes_on(tmp_path: Path) -> None:
    config = {"server": {"state_file": str(tmp_path / "none" / "added.json"), "allow_sources": ["synth:"]}}
    wall = Wall(check_settings(config))
    stream = check_stream({"name": "a", "source": STREET})
    wall.add(stream)
    assert "are not kept" in [event["text"] for event in wall.events.after(0)[0]][-1] and wall.find("a") is not None
    with pytest.raises(SinkError):
        Kept(tmp_path / "none" / "added.json").write([stream])
    wall.close(5)


def test_a_killed_server_comes_back_and_its_files_can_be_read(tmp_path: Path) -> None:
    kills = kill_again_and_again(tmp_path, 2, 1)
    assert not kills.wrong and any(name.endswith(".mp4") for name in kills.known)
    assert {one["name"] for one in json.loads((tmp_path / "added.json").read_text(encoding="utf-8"))}
