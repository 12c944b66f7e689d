"""Models by name, over real HTTP on loopback: what is kept, what is verified, and every way a download goes wrong."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from keepbusy.cli.models import find_model_with_progress, models
from keepbusy.errors import ConfigError, KeepbusyError, ModelError
from keepbusy.models.store import ModelStore, find_model
from keepbusy.models.store.catalogue import CATALOGUE, KnownModel, find_known
from tests.graphs import onnx_model
from tests.http_server import WAIT_S, ReleasePage, release_page

CONTENT = onnx_model(1_000_000, seed=7)
OTHER = onnx_model(900_000, seed=8)
SAME_LENGTH = onnx_model(1_000_000, seed=9)
HALF = 400_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEEPBUSY_CACHE", "KEEPBUSY_MODELS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def page() -> Iterator[ReleasePage]:
    with release_page(ReleasePage({"/tiny.onnx": CONTENT})) as served:
        yield served


def known_model(url: str = "https://example.invalid/v1/tiny.onnx", *, is_pinned: bool = True) -> KnownModel:
    return KnownModel(
        name="tiny",
        family="Tiny",
        url=url,
        licence="MIT",
        licence_url="https://example.invalid/LICENSE",
        sha256=SHA256 if is_pinned else None,
        checksum_source="this test" if is_pinned else None,
    )


def store_of(page: ReleasePage, folder: Path, *, is_pinned: bool = True, timeout_s: float = 30.0) -> ModelStore:
    return ModelStore(folder, catalogue=(known_model(is_pinned=is_pinned),), base_url=page.url, timeout_s=timeout_s)


def names_in(folder: Path) -> set[str]:
    """What is in a cache beside the lock, which stays."""
    return {path.name for path in folder.iterdir()} - {"tiny.onnx.lock"}


def raised(store: ModelStore) -> ModelError:
    with pytest.raises(ModelError) as caught:
        find_model("tiny", store=store)
    assert caught.value.hint and "\n" not in caught.value.message
    return caught.value


# What is a name ---------------------------------------------------------------------------------------------------


def test_paths_are_returned_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yolov5s").write_bytes(b"a file that hides a name")
    (tmp_path / "folder").mkdir()
    for given in ("gone.xml", "yolov5s.onnx", "models/yolov5s", Path("a") / "b", "yolov5s", "folder"):
        assert find_model(given) == Path(given)


def test_a_name_that_is_not_known_suggests_near_ones() -> None:
    with pytest.raises(ModelError, match="yolov5q: is neither a model file nor the name") as caught:
        find_model("yolov5q")
    assert re.search(r"did you mean yolov5\w or .*`keepbusy models` lists", caught.value.hint or "")
    with pytest.raises(ModelError) as caught:
        find_model("zzz")
    assert caught.value.hint == "`keepbusy models` lists the names"


def test_a_folder_does_not_hide_a_name(tmp_path: Path, page: ReleasePage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    assert find_model("tiny", store=store_of(page, tmp_path / "cache")).read_bytes() == CONTENT


def test_the_catalogue_is_sound() -> None:
    names = [known.name for known in CATALOGUE]
    assert len(set(names)) == len(names) == len({known.file_name for known in CATALOGUE})
    for known in CATALOGUE:
        assert re.fullmatch(r"https://github\.com/[\w-]+/\w+/releases/download/[\w.]+/\w+\.onnx", known.url)
        assert known.file_name == f"{known.name}.onnx"
        assert known.licence in ("AGPL-3.0", "Apache-2.0") and known.licence_url.startswith("https://")
        assert known.sha256 is None or re.fullmatch("[0-9a-f]{64}", known.sha256)
        assert (known.sha256 is None) == (known.checksum_source is None)
    assert find_known("YOLOX-S") is find_known("yolox_s") is not None


def test_where_models_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variable, below = {
        "win32": ("LOCALAPPDATA", Path("keepbusy/Cache/models")),
        "darwin": ("HOME", Path("Library/Caches/keepbusy/models")),
    }.get(sys.platform, ("XDG_CACHE_HOME", Path("keepbusy/models")))
    if sys.platform != "win32":
        monkeypatch.setenv(variable, str(tmp_path))
        assert ModelStore().folder == tmp_path / below
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path / "mine"))
    assert ModelStore().folder == tmp_path / "mine" / "models"


# A download that works --------------------------------------------------------------------------------------------


def test_fetched_once_verified_and_reported(tmp_path: Path, page: ReleasePage) -> None:
    store = store_of(page, tmp_path / "a" / "b")
    seen: list[tuple[int, int | None]] = []
    path = find_model("tiny", store=store, on_progress=lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "a" / "b" / "tiny.onnx" and path.read_bytes() == CONTENT
    assert seen[0] == (0, len(CONTENT)) and seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert find_model("tiny", store=store) == path
    assert len(page.requests) == 1
    assert names_in(path.parent) == {"tiny.onnx"}


def test_the_address_is_the_models_own_without_a_mirror(tmp_path: Path, page: ReleasePage) -> None:
    page.files["/v1/tiny.onnx"] = CONTENT
    store = ModelStore(tmp_path, catalogue=(known_model(f"{page.url}/v1/tiny.onnx"),))
    assert find_model("tiny", store=store).read_bytes() == CONTENT
    assert [path for path, _ in page.requests] == ["/v1/tiny.onnx"]


def test_a_mirror_is_named_by_the_environment(
    tmp_path: Path, page: ReleasePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.files["/mirror/tiny.onnx"] = CONTENT
    monkeypatch.setenv("KEEPBUSY_MODELS_URL", f"{page.url}/mirror/")
    find_model("tiny", store=ModelStore(tmp_path, catalogue=(known_model(),)))
    assert [path for path, _ in page.requests] == ["/mirror/tiny.onnx"]
    monkeypatch.setenv("KEEPBUSY_MODELS_URL", "ftp://mirror")
    with pytest.raises(ConfigError, match="KEEPBUSY_MODELS_URL"):
        ModelStore(tmp_path)


def test_redirects_are_followed_also_when_resuming(tmp_path: Path, page: ReleasePage) -> None:
    page.redirects["/tiny.onnx"] = "/storage/4711"
    page.files["/storage/4711"] = CONTENT
    page.cuts = [HALF]
    assert find_model("tiny", store=store_of(page, tmp_path)).read_bytes() == CONTENT
    assert page.ranges == [None, None, f"bytes={HALF}-", f"bytes={HALF}-"]


def test_a_licence_is_told_once(tmp_path: Path, page: ReleasePage) -> None:
    told: list[str] = []
    for _ in range(2):
        find_model("tiny", store=store_of(page, tmp_path), on_licence=lambda known: told.append(known.licence))
    assert told == ["MIT"]


# Broken connections -----------------------------------------------------------------------------------------------


def test_a_connection_that_breaks_is_taken_up_again(tmp_path: Path, page: ReleasePage) -> None:
    page.cuts = [HALF, 100_000]
    assert find_model("tiny", store=store_of(page, tmp_path)).read_bytes() == CONTENT
    assert page.ranges == [None, f"bytes={HALF}-", f"bytes={HALF + 100_000}-"]
    assert page.requests[1][1]["If-Range"] == '"one"'
    assert names_in(tmp_path) == {"tiny.onnx"}


def test_a_truncated_file_is_an_error_and_its_bytes_are_kept(tmp_path: Path, page: ReleasePage) -> None:
    page.cuts = [HALF, 0]
    store = store_of(page, tmp_path)
    assert f"broke off after {HALF} of {len(CONTENT)} bytes" in raised(store).message
    assert (tmp_path / "tiny.onnx.part").read_bytes() == CONTENT[:HALF]
    assert find_model("tiny", store=store).read_bytes() == CONTENT
    assert page.ranges[-1] == f"bytes={HALF}-"


def test_a_server_without_ranges_starts_over(tmp_path: Path, page: ReleasePage) -> None:
    page.has_ranges = False
    page.cuts = [HALF, HALF]
    store = store_of(page, tmp_path)
    assert "broke off" in raised(store).message
    assert find_model("tiny", store=store).read_bytes() == CONTENT
    assert len(page.requests) == 3


@pytest.mark.parametrize(("etag", "modified"), [(None, None), ('W/"one"', None)])
def test_a_file_without_a_strong_mark_starts_over(
    tmp_path: Path, page: ReleasePage, etag: str | None, modified: str | None
) -> None:
    page.etag, page.last_modified = etag, modified
    page.cuts = [HALF]
    assert find_model("tiny", store=store_of(page, tmp_path)).read_bytes() == CONTENT
    assert page.ranges == [None, None]


def test_the_date_is_a_mark_too(tmp_path: Path, page: ReleasePage) -> None:
    page.etag = None
    page.cuts = [HALF]
    assert find_model("tiny", store=store_of(page, tmp_path)).read_bytes() == CONTENT
    assert page.requests[1][1]["If-Range"] == page.last_modified


@pytest.mark.parametrize(
    ("content", "etag", "has_conditions"),
    [(OTHER, '"two"', True), (SAME_LENGTH, '"two"', False), (OTHER, '"one"', False)],
    ids=["condition honoured", "condition ignored, other tag", "condition ignored, other length"],
)
def test_a_file_that_changed_meanwhile_starts_over(
    tmp_path: Path, page: ReleasePage, content: bytes, etag: str, has_conditions: bool
) -> None:
    store = store_of(page, tmp_path, is_pinned=False)
    page.cuts = [HALF, 0]
    raised(store)
    page.files["/tiny.onnx"], page.etag, page.has_conditions = content, etag, has_conditions
    assert find_model("tiny", store=store).read_bytes() == content
    assert page.ranges[2:] == ([f"bytes={HALF}-"] if has_conditions else [f"bytes={HALF}-", None])


def test_a_part_as_long_as_the_file_or_longer(tmp_path: Path, page: ReleasePage) -> None:
    store = store_of(page, tmp_path)
    page.cuts = [HALF, 0]
    raised(store)
    (tmp_path / "tiny.onnx.part").write_bytes(CONTENT + b"more")
    assert find_model("tiny", store=store).read_bytes() == CONTENT
    (tmp_path / "tiny.onnx").unlink()
    page.cuts = [HALF, 0]
    raised(store)
    (tmp_path / "tiny.onnx.part").write_bytes(CONTENT)
    before = len(page.requests)
    assert find_model("tiny", store=store).read_bytes() == CONTENT
    assert len(page.requests) == before


def test_a_damaged_part_costs_one_more_download(tmp_path: Path, page: ReleasePage) -> None:
    store = store_of(page, tmp_path)
    page.cuts = [HALF, 0]
    raised(store)
    (tmp_path / "tiny.onnx.part").write_bytes(OTHER[:HALF])
    assert find_model("tiny", store=store).read_bytes() == CONTENT
    assert page.ranges[2:] == [f"bytes={HALF}-", None]


def test_a_silent_server_is_given_up(tmp_path: Path, page: ReleasePage) -> None:
    page.pause_at = HALF
    store = store_of(page, tmp_path, timeout_s=0.5)
    page.cuts = [len(CONTENT), 0]
    assert "the server was silent for 0.5 s" in raised(store).message
    page.pause_at = None
    assert find_model("tiny", store=store).read_bytes() == CONTENT
    assert page.ranges[-1] == f"bytes={HALF}-"


def test_an_interrupted_download_goes_on_next_time(tmp_path: Path, page: ReleasePage) -> None:
    def interrupt(done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    store = store_of(page, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        find_model("tiny", store=store, on_progress=interrupt)
    size = (tmp_path / "tiny.onnx.part").stat().st_size
    assert 0 < size < len(CONTENT) and not (tmp_path / "tiny.onnx").exists()
    assert find_model("tiny", store=store).read_bytes() == CONTENT
    assert page.ranges == [None, f"bytes={size}-"]


# Answers that are not the file --------------------------------------------------------------------------------------


def test_a_file_with_another_checksum_is_not_kept(tmp_path: Path, page: ReleasePage) -> None:
    page.files["/tiny.onnx"] = OTHER
    error = raised(store_of(page, tmp_path))
    assert SHA256[:12] in error.message and hashlib.sha256(OTHER).hexdigest()[:12] in error.message
    assert names_in(tmp_path) == set()


def test_without_a_published_checksum_the_first_one_holds(tmp_path: Path, page: ReleasePage) -> None:
    store = store_of(page, tmp_path, is_pinned=False)
    path = find_model("tiny", store=store)
    assert json.loads((tmp_path / "tiny.onnx.json").read_text())["sha256"] == SHA256
    path.unlink()
    page.files["/tiny.onnx"], page.etag = OTHER, '"two"'
    error = raised(store)
    assert "not the file of the first use" in (error.hint or "") and str(tmp_path / "tiny.onnx.json") in error.hint  # type: ignore[operator]
    assert not path.exists()
    (tmp_path / "tiny.onnx.json").unlink()
    assert find_model("tiny", store=store).read_bytes() == OTHER
    (tmp_path / "tiny.onnx.json").write_text("{")
    assert "cannot be read" in raised(store).message


@pytest.mark.parametrize("is_pinned", [True, False])
def test_a_cached_file_that_changed_is_refused(tmp_path: Path, page: ReleasePage, is_pinned: bool) -> None:
    store = store_of(page, tmp_path, is_pinned=is_pinned)
    path = find_model("tiny", store=store)
    path.write_bytes(CONTENT[:-1])
    assert str(path) in raised(store).message
    path.unlink()
    assert find_model("tiny", store=store).read_bytes() == CONTENT


@pytest.mark.parametrize("is_pinned", [True, False])
def test_a_file_put_there_by_hand_is_taken(tmp_path: Path, is_pinned: bool) -> None:
    store = ModelStore(tmp_path, catalogue=(known_model(is_pinned=is_pinned),), base_url="http://localhost:9/none")
    (tmp_path / "tiny.onnx").write_bytes(CONTENT)
    assert find_model("tiny", store=store) == tmp_path / "tiny.onnx"
    (tmp_path / "tiny.onnx").write_bytes(OTHER)
    assert "SHA-256" in raised(store).message


def test_absent_and_failing_pages(tmp_path: Path, page: ReleasePage) -> None:
    page.files.clear()
    error = raised(store_of(page, tmp_path))
    assert f"{page.url}/tiny.onnx: the server answers 404" in error.message
    page.files["/tiny.onnx"], page.status = CONTENT, 503
    assert "answers 503" in raised(store_of(page, tmp_path)).message


def test_a_log_in_page_is_not_a_model(tmp_path: Path, page: ReleasePage) -> None:
    page.content_type = "text/html; charset=utf-8"
    assert "a web page came" in raised(store_of(page, tmp_path, is_pinned=False)).message
    assert names_in(tmp_path) == set()


def test_a_length_is_needed(tmp_path: Path, page: ReleasePage) -> None:
    page.has_length = False
    assert "does not tell the file's length" in raised(store_of(page, tmp_path, is_pinned=False)).message


def test_offline_says_which_file_to_put_where(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = raised(ModelStore(tmp_path, catalogue=(known_model(),), base_url=f"http://127.0.0.1:{port}"))
    assert "refused" in error.message.lower()
    assert "https://example.invalid/v1/tiny.onnx" in error.hint and str(tmp_path / "tiny.onnx") in error.hint  # type: ignore[operator]


def test_redirects_to_other_protocols_are_refused(tmp_path: Path, page: ReleasePage) -> None:
    page.redirects["/tiny.onnx"] = "ftp://localhost/tiny.onnx"
    assert "redirects from http to ftp" in raised(store_of(page, tmp_path)).message


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program to make a certificate")
def test_https_is_verified_and_never_left(tmp_path: Path, page: ReleasePage, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secure = ReleasePage({"/tiny.onnx": CONTENT}, redirects={"/unsafe/tiny.onnx": f"{page.url}/tiny.onnx"})
    with release_page(secure, context):
        assert "certificate" in raised(store_of(secure, tmp_path / "cache")).message.lower()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert find_model("tiny", store=store_of(secure, tmp_path / "cache")).read_bytes() == CONTENT
        unsafe = ModelStore(tmp_path / "other", catalogue=(known_model(),), base_url=f"{secure.url}/unsafe")
        assert "redirects from https to http" in raised(unsafe).message
    assert page.requests == []


# The disk -----------------------------------------------------------------------------------------------------------


def test_a_cache_that_cannot_be_written(tmp_path: Path, page: ReleasePage) -> None:
    (tmp_path / "file").write_bytes(b"")
    error = raised(store_of(page, tmp_path / "file" / "cache"))
    assert "cannot be written" in error.message and "KEEPBUSY_CACHE" in (error.hint or "")
    assert page.requests == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_file_that_may_not_grow(tmp_path: Path, page: ReleasePage) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, before[1]))
    try:
        error = raised(store_of(page, tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be written: File too large" in error.message and "KEEPBUSY_CACHE" in (error.hint or "")
    assert not (tmp_path / "tiny.onnx").exists()


FETCH = """
import sys
from keepbusy.errors import ModelError
from keepbusy.models.store import ModelStore, find_model
from keepbusy.models.store.catalogue import KnownModel
folder, url, sha256 = sys.argv[1:]
known = KnownModel(name="tiny", family="Tiny", url=url, licence="MIT", licence_url=url, sha256=sha256 or None)
def say(*words):
    print(*words, flush=True)
try:
    say("found", find_model("tiny", store=ModelStore(__import__("pathlib").Path(folder), catalogue=(known,)),
                            on_wait=lambda: say("waiting"), on_progress=lambda done, total: say("have", done)))
except ModelError as error:
    say("error", error.message)
"""


def fetch_command(folder: Path, page: ReleasePage, *, is_pinned: bool = True) -> list[str]:
    return [sys.executable, "-c", FETCH, str(folder), f"{page.url}/tiny.onnx", SHA256 if is_pinned else ""]


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such permission bits")
@pytest.mark.parametrize("is_pinned", [True, False])
def test_a_read_only_cache_is_used_and_never_written(tmp_path: Path, page: ReleasePage, is_pinned: bool) -> None:
    prefix: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("permission bits do not bind the superuser")
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    folder = tmp_path / "cache"
    folder.mkdir()
    command = [*prefix, *fetch_command(folder, page, is_pinned=is_pinned)]
    folder.chmod(0o555)
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=WAIT_S, check=False)
        assert done.stdout.startswith("error") and "cannot be written: Permission denied" in done.stdout, done.stderr
        folder.chmod(0o755)
        (folder / "tiny.onnx").write_bytes(CONTENT)
        folder.chmod(0o555)
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=WAIT_S, check=False)
        assert done.stdout == f"found {folder / 'tiny.onnx'}\n", done.stderr
    finally:
        folder.chmod(0o755)
    assert [path.name for path in folder.iterdir()] == ["tiny.onnx"] and page.requests == []


# Several processes --------------------------------------------------------------------------------------------------


def lines_until(process: subprocess.Popen[str], last: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.strip())
        if lines[-1] == last:
            return lines
    raise AssertionError(f"{last!r} never came: {lines}")


def test_of_two_processes_one_downloads(tmp_path: Path, page: ReleasePage) -> None:
    page.pause_at = HALF
    command = fetch_command(tmp_path, page)
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as first:
        assert page.paused.wait(WAIT_S)
        with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as second:
            lines_until(second, "waiting")
            page.gate.set()
            found = f"found {tmp_path / 'tiny.onnx'}"
            assert lines_until(second, found) == [found]
            lines_until(first, found)
    assert len(page.requests) == 1
    assert (tmp_path / "tiny.onnx").read_bytes() == CONTENT


def test_a_killed_process_leaves_its_bytes_and_no_lock(tmp_path: Path, page: ReleasePage) -> None:
    page.pause_at = HALF
    with subprocess.Popen(fetch_command(tmp_path, page), stdout=subprocess.PIPE, encoding="utf-8") as process:
        lines_until(process, f"have {HALF}")
        process.kill()
    page.gate.set()
    page.pause_at = None
    waited: list[bool] = []
    store = ModelStore(tmp_path, catalogue=(replace(known_model(), url=f"{page.url}/tiny.onnx"),))
    path = find_model("tiny", store=store, on_wait=lambda: waited.append(True))
    assert path.read_bytes() == CONTENT and waited == []
    assert page.ranges == [None, f"bytes={HALF}-"]


# The command line ---------------------------------------------------------------------------------------------------


def run_models(*arguments: str) -> str:
    app = typer.Typer()
    app.command("models")(models)
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160", "NO_COLOR": "1"})
    if isinstance(result.exception, KeepbusyError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "yolox_s.onnx").write_bytes(b"")
    lines = {line.split()[0]: line for line in run_models().splitlines() if len(line.split()) > 5}
    assert set(lines) >= {known.name for known in CATALOGUE}
    assert "Apache-2.0" in lines["yolox_s"] and " yes " in lines["yolox_s"] and "35.9" in lines["yolox_s"]
    assert "AGPL-3.0" in lines["yolov5s"] and " yes " not in lines["yolov5s"] and "first download" in lines["yolov5s"]
    records = {record["name"]: record for record in json.loads(run_models("--json"))}
    assert [name for name, record in records.items() if record["is_cached"]] == ["yolox_s"]
    assert records["yolov5n"]["path"] == str(tmp_path / "models" / "yolov5n.onnx")
    assert records["yolov5n"]["url"].startswith("https://github.com/ultralytics/yolov5/releases/download/v7.0/")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_licence_and_progress_go_to_standard_error(
    tmp_path: Path,
    page: ReleasePage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_terminal: bool,
) -> None:
    page.files["/yolov5s.onnx"] = CONTENT
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path))
    monkeypatch.setenv("KEEPBUSY_MODELS_URL", page.url)
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if is_terminal else "0")
    monkeypatch.setenv("COLUMNS", "160")
    path = find_model_with_progress("yolov5s")
    assert path.read_bytes() == CONTENT
    shown = capsys.readouterr()
    assert shown.out == "" and "AGPL-3.0: https://github.com/ultralytics/yolov5" in shown.err
    assert ("1.0/1.0 MB" if is_terminal else "downloading yolov5s (1.0 MB)") in shown.err
    assert find_model_with_progress("yolov5s") == path
    assert find_model_with_progress("street.xml") == Path("street.xml")
    assert capsys.readouterr() == ("", "")


def test_quiet_still_shows_a_new_licence(
    tmp_path: Path, page: ReleasePage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page.files["/yolov5m.onnx"] = CONTENT
    monkeypatch.setenv("KEEPBUSY_CACHE", str(tmp_path))
    monkeypatch.setenv("KEEPBUSY_MODELS_URL", page.url)
    find_model_with_progress("yolov5m", is_quiet=True)
    shown = capsys.readouterr().err
    assert "AGPL-3.0" in shown and len(shown.splitlines()) == 1
