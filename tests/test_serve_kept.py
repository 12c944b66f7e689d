"""Streams that clients have added are there again when the server is started again, and no file is written over."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from keepbusy.errors import SinkError
from keepbusy.serve.check import check_all
from keepbusy.serve.configuration.load import SettingsError, check_settings, check_stream, load_settings
from keepbusy.serve.supervise.kept import MARK, Kept, KeptError, NotOursError
from keepbusy.serve.supervise.wall import Wall
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


@pytest.mark.parametrize("rest", ["", ": {}}", ": [1]}", ': [{"name": "a"}]}', ": []}\xff"])
def test_a_damaged_file_of_ours_is_put_aside(rest: str, tmp_path: Path) -> None:
    path = tmp_path / "added.json"
    text = f'{{"{MARK}"{rest}'
    path.write_text(text, encoding="latin-1")
    with pytest.raises(KeptError, match=f"cannot be read.* is {tmp_path}/added-.* now"):
        Kept(path).read()
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("added-") and aside.read_text(encoding="latin-1") == text
    assert Kept(path).read() == []
    path.write_text("", encoding="utf-8")
    assert Kept(path).read() == []


@pytest.mark.parametrize("text", ["My notes.", "{", "{}", "[1]", "\xff", '{"streams": []}'])
def test_a_file_of_somebody_else_stays_where_it_is(text: str, tmp_path: Path) -> None:
    path, link = tmp_path / "notes.txt", tmp_path / "link"
    path.write_text(text, encoding="latin-1")
    link.symlink_to(path)
    for one in (path, link):
        kept = Kept(one)
        for does in (kept.open, kept.read, lambda kept=kept: kept.write([])):
            with pytest.raises(NotOursError, match="no file of added streams"):
                does()
        config = tmp_path / "wall.yaml"
        config.write_text(f"streams: []\nserver:\n  state_file: {one}\n", encoding="utf-8")
        with pytest.raises(SettingsError, match=r"wall.yaml:3: server.state_file: .*no file of added streams"):
            check_all(load_settings(config), file=str(config))
    assert path.read_text(encoding="latin-1") == text and link.is_symlink()
    assert {one.name for one in tmp_path.iterdir()} == {"notes.txt", "link", "wall.yaml"}


def test_no_file_of_the_server_is_another_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration, certificates, names, models, sources, sinks and the state file: no two are one."""
    monkeypatch.chdir(tmp_path)
    for name in ("cert.pem", "key.jsonl", "names.jsonl", "a.jsonl"):
        Path(name).write_text("person\n", encoding="utf-8")
    Path("fresh.jsonl").symlink_to("state.jsonl")
    Path("mine.jsonl").symlink_to("wall.yaml")
    sinks = ["key.jsonl", "names.jsonl", "a.jsonl", "state.jsonl", "fresh.jsonl", "mine.jsonl"]
    config = {
        "names": "names.jsonl",
        "server": {"tls": {"certificate": "cert.pem", "key": "key.jsonl"}, "state_file": "state.jsonl"},
        "streams": [{"name": "a", "source": "a.jsonl", "sinks": [*sinks, "fine.jsonl"]}],
    }
    Path("wall.yaml").write_text(json.dumps(config, indent=1), encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        check_all(load_settings("wall.yaml"), names=("person",), file="wall.yaml")
    found = {one.place[3] for one in caught.value.mistakes if one.place[:1] == ("streams",)}
    assert found == set(range(len(sinks))) and all(one.line for one in caught.value.mistakes), caught.value.lines


def test_two_servers_do_not_keep_their_streams_in_one_file(tmp_path: Path) -> None:
    path, link = tmp_path / "added.json", tmp_path / "same.json"
    link.symlink_to(path)
    one, other = Kept(path), Kept(link)
    one.open()
    with pytest.raises(NotOursError, match="another server keeps its streams in it"):
        other.open()
    one.close()
    other.open()
    other.close()


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
    assert {one["name"] for one in json.loads((tmp_path / "added.json").read_text(encoding="utf-8"))[MARK]}
