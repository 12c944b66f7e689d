"""Which files a batch has: by which names, from where, and whose are left alone."""

from __future__ import annotations

import base64
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from keepbusy.batch import Progress, UnitConfig, read_status, run_batch
from keepbusy.batch.files import is_gone
from keepbusy.batch.logins import Logins
from keepbusy.errors import ConfigError, SourceError
from tests.batch_jobs import rows_in, state_in
from tests.build import square_picture, write_picture, write_video
from tests.http_server import serving

LOGIN = "user:pass%2Fword"


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder of three clips."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(3):
        write_video(folder / f"{number}.mp4", num_frames=8 + number)
    return folder


def run(source: str | Path | Sequence[str | Path], output: Path, model: Path, **options: object) -> Progress:
    return run_batch(source, output, model, processes=1, **{"units": UnitConfig(pictures=2), **options})  # type: ignore[arg-type]


def counts(folder: Path) -> dict[str, int]:
    """Frames by source."""
    found: dict[str, int] = {}
    for row in rows_in(folder)["frames"]:
        found[row["source"]] = found.get(row["source"], 0) + 1
    return found


# What makes all again makes all again.


@pytest.mark.parametrize("named", [[], ["1.mp4"], ["new.mp4"]])
def test_overwriting_does_all_files_of_the_job_again(
    named: list[str], clips: Path, blob_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(clips, out, blob_model)
    before = counts(out)
    write_video(tmp_path / "new.mp4", num_frames=5)
    new = tmp_path / "new.mp4"
    given: list[str | Path] = [new if name == "new.mp4" else clips / name for name in named]
    done = run(given, out, blob_model, conf=0.6, overwrite=True)
    wanted = before | ({str(new): 5} if "new.mp4" in named else {})
    assert counts(out) == wanted
    assert done.num_files == len(wanted) and done.num_waiting == 0


def test_overwriting_a_damaged_manifest_needs_sources(clips: Path, blob_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(clips, out, blob_model)
    (out / "manifest.jsonl").write_bytes(b"nonsense\n")
    with pytest.raises(Exception, match="line 1 is damaged"):
        run([], out, blob_model, overwrite=True)
    assert run(clips, out, blob_model, overwrite=True).num_done == 3


# One file, one name.


def test_a_file_under_another_path_is_done_once(clips: Path, blob_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(clips / "0.mp4", out, blob_model)
    (tmp_path / "link").symlink_to(clips)
    os.link(clips / "0.mp4", clips / "hard.mp4")
    done = run([tmp_path / "link" / "0.mp4", clips / "hard.mp4", (clips / "0.mp4").as_uri()], out, blob_model)
    assert (done.num_files, done.num_frames) == (1, 8)


@pytest.mark.parametrize("options", [{}, {"conf": 0.6, "overwrite": True}])
def test_a_file_that_has_changed_is_known_under_another_path(
    options: dict[str, object], clips: Path, blob_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(clips / "0.mp4", out, blob_model)
    (tmp_path / "link").symlink_to(clips)
    write_video(clips / "0.mp4", num_frames=12)
    run(tmp_path / "link" / "0.mp4", out, blob_model, **options)
    assert counts(out) == {str(clips / "0.mp4"): 12}


def test_no_two_files_have_one_name(
    clips: Path, blob_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    for number, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        write_video(tmp_path / folder / "clip.mp4", num_frames=5 + number)
        monkeypatch.chdir(tmp_path / folder)
        run("clip.mp4", out, blob_model)
    assert counts(out) == {"clip.mp4": 5, str(tmp_path / "b" / "clip.mp4"): 6}
    odd = os.fsdecode(b"v\xff.mp4")
    shutil.copy(clips / "0.mp4", odd)
    shutil.copy(clips / "1.mp4", "v\\xff.mp4")
    run("*.mp4", tmp_path / "odd", blob_model)
    assert sorted(counts(tmp_path / "odd").values()) == [6, 8, 9]


def test_a_pattern_of_lists_names_what_the_lists_name(clips: Path, blob_model: Path, tmp_path: Path) -> None:
    (clips / "some.txt").write_text("0.mp4\n1.mp4\n", encoding="utf-8")
    done = run(str(clips / "*.txt"), tmp_path / "out", blob_model)
    assert counts(tmp_path / "out") == {str(clips / "0.mp4"): 8, str(clips / "1.mp4"): 9}
    assert done.num_files == 2


# Files that are gone.


def test_files_that_are_gone_are_taken_out_where_that_is_asked_for(
    clips: Path, blob_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    pictures = [write_picture(clips / f"{number}.png", square_picture(8 * number)) for number in range(3)]
    run(clips, out, blob_model)
    (clips / "0.mp4").unlink()
    pictures[0].unlink()
    kept = run([], out, blob_model)
    assert kept.num_problems == 0 and len(counts(out)) == 6
    write_picture(pictures[1], square_picture(90))
    changed = run(clips, out, blob_model)
    assert changed.num_errors == 1, "it was in one unit with the picture that has changed"
    for sources in ((), (clips,)):
        done = run(sources, out, blob_model, drop_missing=True)
        assert done.num_problems == 0 and done.num_files == 4
    assert set(counts(out)) == {str(clips / name) for name in ("1.mp4", "2.mp4", "1.png", "2.png")}


def test_files_that_are_gone_are_taken_out_where_all_is_made_again(
    clips: Path, blob_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(clips, out, blob_model)
    (clips / "0.mp4").unlink()
    done = run((), out, blob_model, conf=0.6, overwrite=True, drop_missing=True)
    assert done.num_problems == 0 and sorted(counts(out).values()) == [9, 10]


def test_files_that_cannot_be_looked_at_are_not_gone(
    clips: Path, blob_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(clips, out, blob_model)
    before = counts(out)
    for path in clips.iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match="all 3 files of the batch are gone"):
        run((), out, blob_model, drop_missing=True)
    assert counts(out) == before

    def refuse(path: object, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    entry = state_in(out).work[1].unit.files[0]
    assert is_gone(entry)
    monkeypatch.setattr(os, "stat", refuse)
    assert not is_gone(entry)


def test_pictures_that_are_back_are_done_again(clips: Path, blob_model: Path, tmp_path: Path) -> None:
    out, away = tmp_path / "out", tmp_path / "away.png"
    pictures = [write_picture(clips / f"{number}.png", square_picture(8 * number)) for number in range(2)]
    run(pictures, out, blob_model)
    wanted = rows_in(out)
    pictures[0].rename(away)
    os.utime(pictures[1], ns=(1, 1))
    assert run(pictures[1:], out, blob_model).num_errors == 1
    (failed,) = read_status(out).failed_frames
    assert (failed.name, failed.index) == (str(pictures[0]), None) and "No such file" in failed.reason
    assert run([], out, blob_model).num_errors == 1
    away.rename(pictures[0])
    assert run([], out, blob_model).num_problems == 0
    assert rows_in(out) == wanted


def test_without_sources_files_that_have_changed_are_done_again(clips: Path, blob_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(clips, out, blob_model)
    write_video(clips / "0.mp4", num_frames=15)
    assert run([], out, blob_model).num_frames == 15 + 9 + 10


# What is not the batch's is left alone.


def test_a_folder_with_other_files_is_refused_whatever_else_it_has(
    clips: Path, blob_model: Path, tmp_path: Path
) -> None:
    for name in ("frames/mine.parquet", "fetched/holiday/picture.jpg", "notes.txt"):
        out = tmp_path / name.replace("/", "-")
        (out / name).parent.mkdir(parents=True)
        (out / ".lock").touch()
        (out / name).write_text("mine", encoding="utf-8")
        with pytest.raises(ConfigError, match="has other files in it"):
            run(clips, out, blob_model)
        assert (out / name).read_text(encoding="utf-8") == "mine"


def test_files_of_others_in_the_job_s_folder_stay(clips: Path, blob_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(clips / "0.mp4", out, blob_model)
    big = tmp_path / "big"
    (big / "keep").mkdir(parents=True)
    (out / "fetched").rmdir()
    (out / "fetched").symlink_to(big)
    mine = [big / "keep" / "notes.txt", out / "detections" / "summary.parquet", out / "frames" / ".draft.part"]
    for path in mine:
        path.write_text("mine", encoding="utf-8")
    run(clips, out, blob_model)
    assert [path.read_text(encoding="utf-8") for path in mine] == ["mine"] * 3


def test_the_folder_of_the_results_is_no_source(clips: Path, blob_model: Path, tmp_path: Path) -> None:
    out = clips / "found"
    run(clips, out, blob_model)
    (out / "fetched" / "keepbusy-1-x").mkdir()
    shutil.copy(clips / "0.mp4", out / "fetched" / "keepbusy-1-x" / "fetched.mp4")
    shutil.copy(clips / "0.mp4", out / "0.mp4")
    done = run(str(clips / "**" / "*.mp4"), out, blob_model)
    assert (done.num_files, done.num_problems) == (3, 0)
    with pytest.raises(SourceError, match="name nothing but the results"):
        run(out / "0.mp4", out, blob_model)


def test_a_batch_that_cannot_begin_leaves_no_tables(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "no.xml").write_text("<net", encoding="utf-8")
    with pytest.raises(Exception, match=r"no\.xml"):
        run(clips, tmp_path / "out", tmp_path / "no.xml")
    assert [path.name for path in (tmp_path / "out").glob("*")] in ([], [".lock"])


# Object stores.


def test_files_inside_an_archive(clips: Path, blob_model: Path, tmp_path: Path) -> None:
    pack = tmp_path / "pack.zip"
    with zipfile.ZipFile(pack, "w") as file:
        for path in sorted(clips.iterdir()):
            file.write(path, f"day/{path.name}")
    wanted = [8, 9, 10]
    for number, address in enumerate((f"zip://day/*.mp4::file://{pack}", f"zip://day::{pack}")):
        done = run(address, tmp_path / f"out{number}", blob_model)
        assert done.num_problems == 0 and sorted(counts(tmp_path / f"out{number}").values()) == wanted
        assert list((tmp_path / f"out{number}" / "fetched").iterdir()) == []


@pytest.fixture
def shop(clips: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server that wants a login or a signature, fails now and then, and tells no lengths of `2.mp4`."""
    wanted = f"Basic {base64.b64encode(b'user:pass/word').decode()}"
    log: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            path, _, query = self.path.partition("?")
            log.append(f"{self.command} {path}")
            if self.headers.get("Authorization") != wanted and "X-Amz-Signature=signed" not in query:
                self.send_error(403)
                return
            if with_body and len(log) % 3 == 0:
                self.send_error(503)
                return
            content = (clips / path.strip("/")).read_bytes()
            self.send_response(200)
            if not path.endswith("2.mp4"):
                self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{len(content)}"')
            self.end_headers()
            if with_body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as address:
        yield address, log


def test_a_store_on_the_web_with_a_login(
    shop: tuple[str, list[str]], clips: Path, blob_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address, _ = shop
    host = address.removeprefix("http://")
    out = tmp_path / "out"
    given: list[str | Path] = [f"http://{LOGIN}@{host}/{number}.mp4" for number in (0, 2)]
    signed = f"{address}/1.mp4?X-Amz-Credential=me&X-Amz-Signature=signed"
    done = run([*given, signed], out, blob_model)
    assert done.num_problems == 0, done.failures
    assert counts(out) == {f"{address}/0.mp4": 8, f"{address}/1.mp4": 9, f"{address}/2.mp4": 10}
    everything = (out / "manifest.jsonl").read_text(encoding="utf-8") + caplog.text + json.dumps(rows_in(out))
    for secret in ("pass%2Fword", "pass/word", "signed", "user:"):
        assert secret not in everything
    # A login that was renewed makes no new file.
    assert run([f"http://{LOGIN}@{host}/1.mp4"], out, blob_model).num_frames == 27
    # Without any the store says no, and what is done stays.
    (clips / "new.mp4").write_bytes((clips / "0.mp4").read_bytes())
    with pytest.raises(SourceError, match=r"/new\.mp4"):
        run([f"{address}/new.mp4"], out, blob_model)
    assert read_status(out).progress.num_done == 3


def test_a_folder_on_the_web_is_done_once(
    clips: Path, blob_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(clips))

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as address:
        for source in (f"{address}/", f"{address}/*.mp4"):
            done = run(source, tmp_path / "out", blob_model)
            assert (done.num_files, done.num_problems) == (3, 0), done.failures
            assert [work.shard for work in state_in(tmp_path / "out").work.values()] == [
                f"00000{n}-1" for n in (1, 2, 3)
            ]
    assert "has changed" not in caplog.text


def test_what_is_in_the_memory_of_one_process_is_no_source(blob_model: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="in this process's memory"):
        run("memory://clips/0.mp4", tmp_path / "out", blob_model)


@pytest.mark.parametrize(
    ("address", "clean"),
    [
        ("ftp://me:secret@host/a@b.mp4", "ftp://host/a@b.mp4"),
        ("ftp://token@host:21/a.mp4", "ftp://host:21/a.mp4"),
        ("s3://bucket/a@b.mp4", "s3://bucket/a@b.mp4"),
        ("https://host/a.mp4?X-Amz-Signature=abcdef&x=1", "https://host/a.mp4"),
        ("https://host/a.mp4?version=3", "https://host/a.mp4?version=3"),
        ("zip://a.mp4::https://me:secret@host/x.zip", "zip://a.mp4::https://host/x.zip"),
    ],
)
def test_logins_are_taken_off_and_put_on_again(address: str, clean: str) -> None:
    logins = Logins()
    assert logins.take_off(address) == clean
    assert logins.put_on(clean) == address
    hidden = logins.hide(f"cannot read {address}") + repr(logins)
    assert not [secret for secret in ("me:secret", "token", "abcdef") if secret in hidden]
