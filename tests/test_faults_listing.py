"""Folders, globs and lists as people's computers leave them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from keepbusy.errors import FrameError, SourceError
from keepbusy.evaluate.listing import pictures_below
from keepbusy.files.paths import files_below
from keepbusy.sources import named_files, open_source
from keepbusy.sources.listing import list_folder
from tests.build import square_picture, write_picture, write_video


def sources_of(spec: str | Path) -> list[str]:
    source = open_source(spec)
    found = []
    try:
        while (frame := source.read()) is not None:
            found.append(Path(frame.source).name)
    finally:
        source.close()
    return found


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_picture(path, square_picture())


def test_hidden_files_are_passed_over_and_numbers_count(tmp_path: Path) -> None:
    for number in (1, 2, 10, 11):
        picture(tmp_path / f"{number}.png")
    (tmp_path / "._1.png").write_bytes(b"\0\5\x16\x07" + bytes(200))
    picture(tmp_path / ".trash.png")
    assert sources_of(tmp_path) == ["1.png", "2.png", "10.png", "11.png"]
    assert sources_of(f"{tmp_path}/*.png") == ["1.png", "2.png", "10.png", "11.png"]


def test_links_in_circles_give_each_picture_once(tmp_path: Path) -> None:
    picture(tmp_path / "sub" / "a.png")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "sub" / "again.png").symlink_to(tmp_path / "sub" / "a.png")
    assert len(sources_of(f"{tmp_path}/**/*.png")) == 1


def test_what_a_folder_leaves_out_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.jpg").rename(tmp_path / "b.jfif")
    (tmp_path / "notes.md").write_text("")
    with caplog.at_level(logging.WARNING, "keepbusy"):
        assert sources_of(tmp_path) == ["a.png", "b.jfif"]
    assert "left out are 1 files that by their endings are neither pictures nor videos: notes.md" in caplog.text
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "x.heicx").write_text("")
    with pytest.raises(SourceError, match=r"no pictures or videos in it \(by their .*: x\.heicx\)") as caught:
        open_source(tmp_path / "only")
    assert caught.value.hint is not None and "by their names" in caught.value.hint


def test_links_that_lead_nowhere_and_what_is_no_file_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    for spec in (tmp_path / "in", f"{tmp_path}/in/*.png"):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "keepbusy"):
            assert sources_of(spec) == ["a.png"]
        assert f"{spec}: left out are 1 links that lead nowhere: gone.png" in caplog.text
        assert f"{spec}: left out are 1 that are no files: pipe.png" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfsub/a.png\n",
        b'\xef\xbb\xbf"sub/a.png"\r\n',
        b".\\sub\\a.png\r\n",
        b"'sub/a.png'\n\n# comment\n",
        b"sub/a.png # the gate\n",
        b'"sub\\a.png"\t# the gate\n',
    ],
)
def test_lists_of_other_systems(tmp_path: Path, content: bytes) -> None:
    picture(tmp_path / "sub" / "a.png")
    (tmp_path / "list.txt").write_bytes(content)
    assert sources_of(tmp_path / "list.txt") == ["a.png"]


def test_a_name_with_a_hash_in_it_is_no_comment(tmp_path: Path) -> None:
    picture(tmp_path / "a #1.png")
    picture(tmp_path / "a.png").rename(tmp_path / "a")
    (tmp_path / "list.txt").write_text("a #1.png\n")
    assert sources_of(tmp_path / "list.txt") == ["a #1.png"]


def test_errors_of_a_list_name_the_list_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# mine\n\nnowhere.mp4 # the gate\n")
    source = open_source(tmp_path / "list.txt")
    with pytest.raises(FrameError, match=r"nowhere\.mp4: frame 0: .*list\.txt: line 3: no such file"):
        source.read()
    (tmp_path / "outer.txt").write_text("list.txt\n")
    with pytest.raises(SourceError, match=r"outer\.txt: line 1: .*a list cannot hold another list") as caught:
        open_source(tmp_path / "outer.txt")
    assert caught.value.hint


def test_an_address_in_a_list_ends_before_its_comment(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("http://localhost:9/a\\b#c.mp4 # the gate\n")
    source = open_source(tmp_path / "list.txt")
    with pytest.raises(FrameError, match=r"http://localhost:9/a\\b#c\.mp4: frame 0: .*line 1: cannot be opened"):
        source.read()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["a.png\n", "a.png\r\nжук.png", "行人/照片.jpg\n"])
def test_a_list_in_utf_16_is_named(tmp_path: Path, encoding: str, text: str) -> None:
    (tmp_path / "list.txt").write_bytes(text.encode(encoding))
    with pytest.raises(SourceError, match="the file is UTF-16, and UTF-8 is expected: save it as UTF-8") as caught:
        open_source(tmp_path / "list.txt")
    assert caught.value.hint


def test_numbered_names_in_a_list_get_the_hint_of_the_command_line(tmp_path: Path) -> None:
    picture(tmp_path / "frames" / "001.png")
    (tmp_path / "list.txt").write_text("frames/%03d.png\n")
    with pytest.raises(SourceError) as direct:
        open_source("frames/%03d.png")
    source = open_source(tmp_path / "list.txt")
    with pytest.raises(FrameError, match="no such file") as listed:
        source.read()
    source.close()
    assert listed.value.hint == direct.value.hint == "for numbered files give a glob: 'frames/*.png'"


def test_what_a_glob_leaves_out_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture(tmp_path / "g" / "a.png")
    (tmp_path / "g" / "a").symlink_to(tmp_path / "g" / "a.png")
    (tmp_path / "g" / "notes.txt").write_text("words")
    (tmp_path / "g" / "a.xml").write_text("<a/>")
    pattern = f"{tmp_path}/g/*"
    with caplog.at_level(logging.WARNING, "keepbusy"):
        assert sources_of(pattern) == ["a.png"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{pattern}: left out are 2 files that by their endings are neither pictures nor videos: a.xml, notes.txt"
    ]
    with pytest.raises(SourceError, match=r"matches no pictures or videos \(.* neither: notes\.txt\)") as caught:
        open_source(f"{tmp_path}/g/n*")
    assert "names the ending" in (caught.value.hint or "")


def test_files_whose_ending_a_glob_names_are_tried(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("clip.dav", "shot_1"):
        write_video(tmp_path / "clip.ts", num_frames=2).rename(tmp_path / name)
    with caplog.at_level(logging.WARNING, "keepbusy"):
        assert sources_of(f"{tmp_path}/*.dav") == ["clip.dav"] * 2
        assert sources_of(f"{tmp_path}/*.[dD]a?") == ["clip.dav"] * 2
        assert sources_of(f"{tmp_path}/shot_?") == ["shot_1"] * 2
    assert not caplog.records


def test_a_pattern_that_names_hidden_files_or_folders_takes_them(tmp_path: Path) -> None:
    for name in (".one/a.png", ".one/.b.png", "two/c.png", "two/.d.png"):
        picture(tmp_path / name)
    assert sources_of(f"{tmp_path}/.*/*.png") == ["a.png"]
    assert sources_of(f"{tmp_path}/*/.*.png") == [".d.png"]
    assert sources_of(f"{tmp_path}/.*/.b.pn?") == [".b.png"]
    assert sources_of(f"{tmp_path}/**/*.png") == ["c.png"]


def test_names_are_files_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    picture(tmp_path / "a.png")
    (tmp_path / "0").mkdir()
    picture(tmp_path / "0" / "zero.png")
    assert sources_of("0") == ["zero.png"]
    assert sources_of("~/a.png") == ["a.png"]
    picture(tmp_path / "photo[1].png")
    assert sources_of("photo[1].png") == ["photo[1].png"]


def test_a_tilde_need_not_be_a_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "~draft.png")
    for word in ("~draft.png", "~dra*.png"):
        assert sources_of(word) == ["~draft.png"]
        assert [path.name for path in named_files([word])] == ["~draft.png"]


@pytest.mark.parametrize("word", ["", "  ", "a" * 300 + ".jpg", "frames/%03d.png", "99999999999", "nul\0byte.jpg"])
def test_what_is_nothing_is_refused_in_one_line(word: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(word)
    assert "\n" not in caught.value.message and len(caught.value.message) < 200
    assert caught.value.hint


def test_one_walk_of_folders_serves_everywhere(tmp_path: Path) -> None:
    for name in ("b/x.png", "b/.y.png", ".c/z.png", "w.png"):
        picture(tmp_path / name)
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")

    def names(*, is_deep: bool = True, with_hidden: bool = False) -> list[str]:
        found = files_below(tmp_path, is_deep=is_deep, with_hidden=with_hidden)
        return sorted(path.relative_to(tmp_path).as_posix() for path in found)

    assert names() == ["b/x.png", "gone.png", "w.png"]
    assert names(with_hidden=True) == [".c/z.png", "b/.y.png", "b/x.png", "gone.png", "w.png"]
    assert names(is_deep=False) == ["gone.png", "w.png"]
    assert pictures_below(tmp_path) == [tmp_path / "b" / "x.png", tmp_path / "w.png"]
    assert list(files_below(tmp_path / "nowhere")) == []
    with pytest.raises(SourceError, match="cannot be listed"):
        list_folder(tmp_path / "nowhere")
