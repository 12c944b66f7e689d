"""The server's configuration: every kind of mistake, with its line and key; the schema; secrets."""

from __future__ import annotations

import logging
from pathlib import Path

import jsonschema
import pytest
import yaml

from keepbusy.serve.check import check_all
from keepbusy.serve.configuration.load import SettingsError, check_stream, load_settings, parse_settings
from keepbusy.serve.configuration.loopback import is_loopback
from keepbusy.serve.configuration.secrets import HideSecrets, Secrets
from keepbusy.serve.configuration.settings import json_schema

GOOD = """
model: street
conf: 0.3
server: {port: 8091, token: "0123456789abcdef"}
streams:
  - name: door
    source: rtsp://admin:geh%20eim@10.0.0.5/s
    max_fps: 5
    classes: [person, 2]
    region: [[0, 0], [1, 1]]
    sinks: [door.jsonl]
  - source: 0
  - {source: "synth:street", weight: 2, max_age_ms: null}
"""


def lines_of(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, "wall.yaml")
    return caught.value.lines


def test_a_configuration_is_read() -> None:
    settings = parse_settings(GOOD)
    door, camera, street = settings.streams
    assert (door.name, camera.name, street.name) == ("door", "stream-2", "stream-3")
    assert (camera.source, street.weight, street.max_age_ms) == ("0", 2.0, None)
    assert settings.thresholds_of(door) == {"conf": 0.3, "classes": ["person", 2], "region": [(0, 0), (1, 1)]}
    assert "geh" not in repr(settings) and "0123456789abcdef" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "wall.yaml: is empty: it begins with `streams:`"),
        ("- a", "wall.yaml:1: is no mapping of keys to values: it begins with `streams:`"),
        ("a: [", "wall.yaml:1: is no YAML: expected the node content, but found '<stream end>'"),
        ("conf: 0.3\nconf: 0.4", "wall.yaml:2: conf: is there twice"),
        ("\nconf: 1.5", "wall.yaml:2: conf: must be 1 or less, and is 1.5"),
        ("confi: 1", "wall.yaml:1: confi: is no key here: did you mean conf?"),
        ("device: 3", "wall.yaml:1: device: must be a text: write it in quotes, and is 3"),
        ("names: {a: 1}", "wall.yaml:1: names: must be a text: write it in quotes"),
        ("imgsz: abc", "wall.yaml:1: imgsz: must be a whole number, and is 'abc'"),
        ("server:\n  prot: 80", "wall.yaml:2: server.prot: is no key here: did you mean port?"),
        ("server:\n  port: 70000", "wall.yaml:2: server.port: must be 65535 or less, and is 70000"),
        ("server:\n  viewer_token: abcdefghijklmnop", "wall.yaml:1: server: viewer_token without token"),
        ("limits:\n  viewers: many", "wall.yaml:2: limits.viewers: must be a whole number, and is 'many'"),
        ("streams: {a: 1}", "wall.yaml:1: streams: must be a list"),
        ("streams:\n  - 7", "wall.yaml:2: streams[0]: must be a mapping of keys to values, and is 7"),
        ("streams:\n  - name: x", "wall.yaml:2: streams[0].source: is missing"),
        ("streams:\n  - source: ' '", "wall.yaml:2: streams[0].source: is blank"),
        ("streams:\n  - source: a\n    name: a/b", "wall.yaml:3: streams[0].name: must have 1 to 64 characters"),
        (
            "streams:\n  - source: a\n    max_age_ms: -3",
            "wall.yaml:3: streams[0].max_age_ms: must be 1 or more, and is -3",
        ),
        ("streams:\n  - source: a\n    stall_s: 0", "wall.yaml:3: streams[0].stall_s: must be 0.001 or more, and is 0"),
        ("streams:\n  - source: a\n    weight: 0", "wall.yaml:3: streams[0].weight: must be 0.001 or more, and is 0"),
        ("streams:\n  - source: a\n    max_fps: 0", "wall.yaml:3: streams[0].max_fps: must be 0.001 or more, and is 0"),
        ("streams:\n  - source: a\n    classes: []", "wall.yaml:3: streams[0].classes: names no class"),
        ("streams:\n  - source: a\n    sinks: b", "wall.yaml:3: streams[0].sinks: must be a list"),
        (
            "streams:\n  - source: a\n    region:\n      - [0, 0]\n      - [1, 2]",
            "wall.yaml:5: streams[0].region[1][1]: ",
        ),
        ("streams:\n  - source: a\n    loop: 7", "wall.yaml:3: streams[0].loop: must be true or false"),
        (
            "streams:\n  - source: a\n    retry:\n      first_wait_s: 9\n      max_wait_s: 3",
            "wall.yaml:3: streams[0].retry:",
        ),
        ("streams:\n - source: ${NO_SUCH}", "wall.yaml:2: streams[0].source: the environment has no variable NO_SUCH"),
        (
            "streams:\n - {source: a, name: x}\n - {source: b, name: x}",
            "wall.yaml:3: streams[1].name: 'x' is the name of",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_key(text: str, told: str) -> None:
    (line,) = lines_of(text)
    assert line.startswith(told)


def test_all_mistakes_are_told_in_the_order_of_their_lines() -> None:
    lines = lines_of("conf: 2\nstreams:\n  - source: a\n    weight: x\n  - sauce: b\niou: -1")
    assert [line.split(": ")[0] for line in lines] == [f"wall.yaml:{number}" for number in (1, 4, 5, 5, 6)]


def test_a_mistake_in_a_secret_does_not_show_it() -> None:
    text = "server:\n  token: hush\nstreams:\n  - source: [rtsp://a:secret@b/c]"
    assert "hush" not in " ".join(lines_of(text)) and "secret" not in " ".join(lines_of(text))


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml: cannot be read: No such file"):
        load_settings(tmp_path / "none.yaml")
    (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "odd.yaml")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("model: NUL", "model"),
        ("names: NUL", "names"),
        ("names: [person, NUL]", "names[1]"),
        ("cache_dir: NUL", "cache_dir"),
        ("overload: {model: NUL}", "overload.model"),
        ("server: {state_file: NUL}", "server.state_file"),
        ("server: {tls: {certificate: NUL, key: a}}", "server.tls.certificate"),
        ("server: {tls: {certificate: a, key: NUL}}", "server.tls.key"),
        ("server: {host: NUL}", "server.host"),
        ("server: {allow_sources: [NUL]}", "server.allow_sources[0]"),
        ("streams: [{source: NUL}]", "streams[0].source"),
        ("streams: [{source: a, name: NUL}]", "streams[0].name"),
        ("streams: [{source: a, sinks: [NUL]}]", "streams[0].sinks[0]"),
        ("streams: [{source: a, classes: [NUL]}]", "streams[0].classes[0]"),
    ],
)
def test_no_text_has_a_nul_in_it(text: str, key: str) -> None:
    assert lines_of("\n" + text.replace("NUL", '"a\\0b.jsonl"')) == [f"wall.yaml:2: {key}: has a NUL character in it"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_fps: 1.0e-300", "max_fps: must be 0.001 or more, and is 1e-300"),
        ("max_age_ms: 1.0e-9", "max_age_ms: must be 1 or more, and is 1e-09"),
        ("retry: {first_wait_s: 0}", "retry.first_wait_s: must be 0.1 or more, and is 0"),
        ("retry: {first_wait_s: 0.1, max_wait_s: 0}", "retry.max_wait_s: must be 0.1 or more, and is 0"),
    ],
)
def test_values_have_a_least_one_that_makes_sense(text: str, told: str) -> None:
    assert lines_of(f"streams:\n- source: a\n  {text}") == [f"wall.yaml:3: streams[0].{told}"]


@pytest.mark.parametrize("scene", ["synth:street?size=99999x99999", "synth:street?size=9x9&realtime", "synth:tree"])
def test_a_scene_that_is_none_is_a_mistake_also_where_a_client_names_it(scene: str) -> None:
    (line,) = lines_of(f"streams:\n- source: {scene}")
    assert line.startswith("wall.yaml:2: streams[0].source: ")
    with pytest.raises(SettingsError, match="source: "):
        check_stream({"name": "a", "source": scene})


def test_variables_of_the_environment_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "p@ss")
    settings = parse_settings("streams:\n  - source: rtsp://a:${DOOR_PASSWORD}@b/$$c")
    assert settings.streams[0].source == "rtsp://a:p@ss@b/$c"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("streams:\n - source: a\n   classes: [persn]", "streams[0].classes: the model has no class 'persn' (did you"),
        ("streams:\n - source: a\n   class_conf: {unicorn: 0.5}", "streams[0].class_conf: the model has no class"),
        ("classes: [99]\nstreams: []", "classes: 99 is beyond the model's last class"),
        ("model: none.xml", "model: none.xml"),
        ("device: TPU", "device: device TPU: there is no TPU on this machine"),
        ("server: {host: 0.0.0.0}", "server.token: 0.0.0.0 can be reached from other machines: a token is required"),
        ("server: {tls: {certificate: none.pem, key: none.key}}", "server.tls.certificate: none.pem: there is no such"),
        ("streams:\n - source: a\n   sinks: [out.xyz]", "streams[0].sinks[0]: "),
        ("streams:\n - source: a\n   sinks: ['window:']", "streams[0].sinks[0]: window:: a server has no window"),
        (
            "streams:\n - source: a\n   sinks: [x.jpg]",
            "streams[0].sinks[0]: x.jpg: a server has no window, no terminal",
        ),
        ("names: none.txt", "wall.yaml:1: names: cannot read none.txt"),
        ("streams:\n - {source: a, sinks: [o.jsonl]}\n - {source: b, sinks: [o.jsonl]}", "streams[1].sinks[0]: "),
    ],
)
def test_what_a_configuration_names_is_checked(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wall.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        check_all(load_settings("wall.yaml"), file="wall.yaml")
    assert any(told in line for line in caught.value.lines), caught.value.lines
    assert all(line.startswith("wall.yaml:") for line in caught.value.lines)


def test_a_good_configuration_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "streams:\n - {source: synth:street, sinks: [out.jsonl, crops:found/], class_conf: {person: 0.4, '2': 0.1}}"
    assert "person" in check_all(parse_settings(text))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost"])
def test_these_are_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "example.org", ""])
def test_these_are_not(host: str) -> None:
    assert not is_loopback(host)


def test_the_schema_knows_good_and_bad() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    content = yaml.safe_load(GOOD)
    content["streams"][1]["source"] = "0"
    jsonschema.validate(content, schema)
    content["streams"][0]["clases"] = ["person"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema)
    described = schema["$defs"]["StreamSettings"]["properties"]
    assert all("description" in one for one in described.values()), "editors show what a key means"
    assert described["stall_s"]["default"] == 3.0


@pytest.mark.parametrize("shown", ["p@ss w%rd", "p%40ss%20w%25rd", "p%40ss w%rd", "P%40SS%20W%25RD"])
def test_secrets_are_hidden_however_they_are_written(shown: str) -> None:
    secrets = Secrets()
    source = "rtsp://admin:p%40ss%20w%25rd@10.0.0.5/live?token=abcd1234"
    secrets.learn(parse_settings(f"server: {{token: 0123456789abcdef}}\nstreams: [{{source: '{source}'}}]"))
    record = logging.LogRecord(
        "a", logging.INFO, "", 1, "login %s, %s, %s failed", (shown, "abcd1234", "0123456789abcdef"), None
    )
    assert HideSecrets(secrets).filter(record)
    assert record.getMessage() == "login ***, ***, *** failed"
    assert "p%40ss" not in secrets.hidden(f"cannot open {source}")
