"""The files of deploy/: what they name is there, and what they promise is kept."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from keepbusy.config import Hint
from keepbusy.flow.stream import StreamState
from keepbusy.serve.check import check_all
from keepbusy.serve.configuration.load import load_settings
from keepbusy.serve.configuration.settings import DEFAULT_PORT, ServeSettings, Step, StreamSettings
from keepbusy.serve.http.app import Application
from keepbusy.serve.http.metrics import HttpCounts, Metrics, Reloads
from keepbusy.serve.supervise.wall import Wall
from keepbusy.values.streams import DropCause
from tests.conftest import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
PACKAGE = REPOSITORY / "src" / "keepbusy"


@pytest.fixture(autouse=True)
def the_example_has_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPBUSY_TOKEN", "admin-0123456789abcdef")
    monkeypatch.setenv("KEEPBUSY_VIEWER_TOKEN", "viewer-0123456789abcdef")


def exported() -> set[str]:
    """The names that Prometheus sees."""
    wall = Wall(load_settings(DEPLOY / "wall.yaml"))
    metrics = Metrics(wall, HttpCounts(), Reloads(), lambda: 0)
    names = re.findall(r"# TYPE (\S+) (\S+)", metrics.text().decode())
    return {name for name, _ in names} | {f"{name}_bucket" for name, kind in names if kind == "histogram"}


def named_in(text: str) -> set[str]:
    return set(re.findall(r"\bkeepbusy_[a-z0-9_]+", text))


def test_the_example_is_a_good_configuration() -> None:
    assert check_all(load_settings(DEPLOY / "wall.yaml"))


def test_rules_and_dashboard_name_what_is_exported() -> None:
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text(encoding="utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(alerts) > 8 and all(rule["annotations"]["description"] for rule in alerts)
    dashboard = json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8"))
    assert all(panel["description"] for panel in dashboard["panels"])
    expressions = [rule["expr"] for rule in alerts]
    expressions += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [one["query"]["query"] for one in dashboard["templating"]["list"][1:]]
    named = named_in(" ".join(expressions))
    assert len(named) > 12 and named <= exported()


def test_states_and_causes_are_known_to_the_page_the_help_texts_and_the_dashboard() -> None:
    words = (PACKAGE / "serve" / "page" / "words.js").read_text(encoding="utf-8")
    english, chinese = (words.partition(f"const {name} = {{")[2].partition("\n};")[0] for name in ("EN", "ZH"))
    kinds = {"cause": get_args(DropCause), "hint": get_args(Hint), "state": {*get_args(StreamState), "live", "late"}}
    for kind, names in kinds.items():
        for name in names:
            assert f'"{kind} {name}": "' in english and f'"{kind} {name}": "' in chinese, (kind, name)
    for step in get_args(Step):
        assert f'"overload {step}": "' in chinese, step
    metrics = Metrics(Wall(load_settings(DEPLOY / "wall.yaml")), HttpCounts(), Reloads(), lambda: 0).text().decode()
    (dropped,) = re.findall(r"# HELP keepbusy_stream_dropped_frames_total (.*)", metrics)
    dashboard = (DEPLOY / "grafana.json").read_text(encoding="utf-8")
    alerts = (DEPLOY / "alerts.yaml").read_text(encoding="utf-8")
    for cause in get_args(DropCause):
        assert f"`{cause}`" in dropped and cause in dashboard
        assert cause in alerts or cause == "stopping"
    for named in re.findall(r'keepbusy_stream_state\{state=~?"([a-z|]+)"', alerts):
        assert set(named.split("|")) <= set(get_args(StreamState))


def test_the_manifest_probes_what_answers_and_lets_the_server_end() -> None:
    text = (DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")
    *claims, deployment, service = yaml.safe_load_all(text)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    paths = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    wall = Wall(load_settings(DEPLOY / "wall.yaml"))
    app = Application(wall, Reloads())
    assert paths <= app.paths
    assert pod["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    named = {one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if "persistentVolumeClaim" in one}
    assert named == {one["metadata"]["name"] for one in claims} == {"keepbusy-models", "keepbusy-state"}
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
    wanted = set(re.findall(r"\$\{(\w+)\}", (DEPLOY / "wall.yaml").read_text(encoding="utf-8"))) - {"DOOR_PASSWORD"}
    assert wanted == set(re.findall(r"--from-literal=(\w+)=", text))
    assert pod["terminationGracePeriodSeconds"] > wall.settings.server.drain_s
    assert service["spec"]["ports"][0]["port"] == container["ports"][0]["containerPort"] == DEFAULT_PORT


def test_the_unit_is_one(tmp_path: Path) -> None:
    text = (DEPLOY / "keepbusy.service").read_text(encoding="utf-8")
    wall = load_settings(DEPLOY / "wall.yaml")
    found = re.search(r"TimeoutStopSec=(\d+)", text)
    assert found is not None and int(found[1]) > wall.server.drain_s
    assert "\nExecStartPre=" not in text and "\nRestartPreventExitStatus=2\n" in text
    for line in ("DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet="):
        assert f"\n{line}\n" in text
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    unit = tmp_path / "keepbusy.service"
    unit.write_text(re.sub(r"/opt/keepbusy/bin/keepbusy", "/bin/true", text), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, encoding="utf-8", check=False, timeout=60
    )
    complaints = [line for line in done.stderr.splitlines() if "keepbusy.service" in line]
    assert complaints == []


def test_the_container_is_nobody() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER 10001$", text, re.M) and f"EXPOSE {DEFAULT_PORT}" in text and "HEALTHCHECK" in text


def keys_of(kind: type[BaseModel]) -> set[str]:
    keys = set(kind.model_fields)
    for field in kind.model_fields.values():
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                keys |= keys_of(part)
    return keys


def test_the_reference_has_all_keys_and_addresses() -> None:
    text = (REPOSITORY / "docs/reference/serve.md").read_text(encoding="utf-8")
    keys = keys_of(ServeSettings) | keys_of(StreamSettings)
    assert {key for key in keys if not re.search(rf"[`{{ ]{key}\b", text)} == set()
    text = (REPOSITORY / "docs/reference/http.md").read_text(encoding="utf-8")
    paths = Application(Wall(load_settings(DEPLOY / "wall.yaml")), Reloads()).paths
    ends = {re.sub(r"^/v2/models/\{model\}(?=/)", "", path) for path in paths}
    assert {path for path in ends if path not in text} == set()
