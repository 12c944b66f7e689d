"""A release: what is refused before anything is made, the page of the index, and the tag at the end."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from release import __main__ as program
from release.index_page import addresses, index_page
from release.packages import build, check_wheel
from release.repository import ReleaseError, check_tree, home_of, version_of

REPOSITORY = Path(__file__).resolve().parent.parent
HOME = "https://forge.example/people/keepbusy"
README = """# keepbusy

![a street](docs/street.jpg)

[another language](README.zh-CN.md)

See [`heads`](docs/heads.md).
"""
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2030-01-31\n\n### Added\n\n- New.\n"


def git(folder: Path, *arguments: str) -> str:
    identity = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for role in ("AUTHOR", "COMMITTER"):
        identity |= {f"GIT_{role}_NAME": "somebody", f"GIT_{role}_EMAIL": "somebody@forge.example"}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **identity},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository as ours, with little in it: committed, and ready for a release of version 1.2.3."""
    root = tmp_path / "repository"
    (root / "src" / "keepbusy" / "assets").mkdir(parents=True)
    (root / "release").mkdir()
    for name in ("pyproject.toml", "release/index_page.py", "LICENSE", "NOTICE", ".gitignore"):
        (root / name).write_bytes((REPOSITORY / name).read_bytes())
    (root / "README.md").write_text(README)
    (root / "CHANGELOG.md").write_text(CHANGELOG)
    (root / "src/keepbusy/version.py").write_text('"""."""\n\n__version__ = "1.2.3"\n')
    (root / "src/keepbusy/__init__.py").write_text("")
    for name in ("street.mp4", "street-yolov5n.xml", "street-yolov5n.bin", "checksums.json"):
        (root / "src/keepbusy/assets" / name).write_text("x")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "All there is")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "somebody@forge.example")
    return root


def refused(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the program says of a release that it refuses; nothing has been made or tagged."""
    tags = git(root, "tag")
    assert program.main(list(arguments), root) == 1
    assert not (root / "dist").exists() and git(root, "tag") == tags
    said = capsys.readouterr()
    assert said.out == "" and said.err.splitlines()[-1].startswith("hint: ")
    return said.err


def test_a_tree_that_is_not_clean_is_refused(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "NOTES").write_text("not tracked")
    assert "the tree is not clean: NOTES" in refused(repository, capsys, "--home", HOME)


@pytest.mark.parametrize(
    ("changelog", "words"),
    [
        ("## [Unreleased]\n\n- New.\n", "CHANGELOG.md has no dated entry for 1.2.3"),
        ("## [1.2.3]\n\n- New.\n", "CHANGELOG.md has no dated entry for 1.2.3"),
        ("## [1.2.30] - 2030-01-31\n\n- New.\n", "CHANGELOG.md has no dated entry for 1.2.3"),
        (
            "## [1.2.3] - 2030-01-31\n\n## [1.2.2] - 2029-01-31\n\n- Old.\n",
            "the entry for 1.2.3 in CHANGELOG.md is empty",
        ),
    ],
)
def test_a_version_that_the_changelog_does_not_describe_is_refused(
    repository: Path, capsys: pytest.CaptureFixture[str], changelog: str, words: str
) -> None:
    (repository / "CHANGELOG.md").write_text(changelog)
    git(repository, "commit", "--quiet", "--all", "--message", "Another changelog")
    assert words in refused(repository, capsys, "--home", HOME)


def test_a_tag_that_exists_is_refused(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(repository, "tag", "v1.2.3")
    assert "the tag v1.2.3 exists" in refused(repository, capsys, "--home", HOME)
    git(tmp_path, "clone", "--quiet", "--no-tags", str(repository), "clone")
    assert "the tag v1.2.3 exists in origin" in refused(tmp_path / "clone", capsys, "--home", HOME)


def test_an_unknown_address_is_refused(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--home https://" in refused(repository, capsys)
    git(tmp_path, "clone", "--quiet", str(repository), "clone")
    assert "is no address on the web" in refused(tmp_path / "clone", capsys)


def told_in_one_line(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert program.main(list(arguments), root) == 1
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err
    error, hint = said.err.splitlines()
    assert error.startswith("release: ") and hint.startswith("hint: ")
    return error


@pytest.mark.parametrize("name", ["missing", "folder"])
def test_a_folder_of_packages_that_is_no_folder_is_refused(
    repository: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    place = repository.parent / name
    if name == "folder":
        place.mkdir()
        (place / "keepbusy-0.1.tar.gz").write_text("precious")
    (repository / "dist").symlink_to(place)
    # A release tells it as what is not committed.
    assert "dist" in told_in_one_line(repository, capsys, "--home", HOME)
    assert "dist is a link" in told_in_one_line(repository, capsys, "--no-tag")
    assert not place.exists() or (place / "keepbusy-0.1.tar.gz").read_text() == "precious"
    (repository / "dist").unlink()
    (repository / "dist").write_text("a file")
    assert "dist is no folder" in told_in_one_line(repository, capsys, "--no-tag")
    assert (repository / "dist").read_text() == "a file"
    (repository / "dist").unlink()
    (repository / "dist" / "keepbusy-1.whl").mkdir(parents=True)
    assert "keepbusy-1.whl cannot be made or removed" in told_in_one_line(repository, capsys, "--no-tag")
    assert git(repository, "tag") == ""


@pytest.mark.parametrize("name", ["src/keepbusy/version.py", "CHANGELOG.md"])
@pytest.mark.parametrize("kind", ["missing", "folder", "bytes"])
def test_a_file_that_cannot_be_read_is_named(
    repository: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str
) -> None:
    (repository / name).unlink()
    if kind == "folder":
        (repository / name).mkdir()
    elif kind == "bytes":
        (repository / name).write_bytes(b"\xff\xfe")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Gone")
    assert name in refused(repository, capsys, "--home", HOME).splitlines()[0]
    if name != "CHANGELOG.md":
        assert name in told_in_one_line(repository, capsys, "--no-tag")


def test_a_machine_without_git_is_told_so(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert "git cannot be run" in told_in_one_line(repository, capsys, "--home", HOME)


@pytest.mark.parametrize("address", ["https://me:secret@forge.example/a/b.git", "https://token@forge.example/a/b"])
def test_an_address_with_a_password_is_refused_and_not_shown(
    repository: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repository, "remote", "add", "elsewhere", address)
    git(repository, "remote", "rename", "elsewhere", "origin")
    with pytest.raises(ReleaseError, match="has a name or a password in it") as failed:
        home_of(repository, None)
    assert "secret" not in str(failed.value) and "token" not in str(failed.value)


def test_files_that_git_is_told_not_to_show_are_seen(repository: Path) -> None:
    git(repository, "config", "status.showUntrackedFiles", "no")
    (repository / "junk.py").write_text("")
    with pytest.raises(ReleaseError, match=r"not clean: junk\.py"):
        check_tree(repository)


@pytest.mark.parametrize("address", [HOME, f"{HOME}.git", "git@forge.example:people/keepbusy.git"])
def test_the_address_is_where_it_was_cloned_from(repository: Path, address: str) -> None:
    git(repository, "remote", "add", "origin", address)
    assert home_of(repository, None) == HOME


def test_a_release_is_built_and_tagged(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # twine and check-wheel-contents are no development packages: `make dist` runs them, in CI as well.
    monkeypatch.setattr(program, "check_with_tools", lambda packages: None)
    assert program.main(["--home", HOME], repository) == 0
    assert git(repository, "tag", "--list", "v1.2.3", "--format=%(objecttype) %(subject)") == "tag keepbusy 1.2.3\n"
    names = sorted(path.name for path in (repository / "dist").iterdir())
    assert names == ["keepbusy-1.2.3-py3-none-any.whl", "keepbusy-1.2.3.tar.gz"]
    assert "git push origin v1.2.3" in capsys.readouterr().out


def test_a_wheel_of_another_version_or_without_its_clip_is_refused(repository: Path, tmp_path: Path) -> None:
    _, wheel = build(repository, tmp_path / "built", None)
    check_wheel(wheel, "1.2.3")
    with pytest.raises(ReleaseError, match=r"of version 1\.2\.3, not 1\.2\.4"):
        check_wheel(wheel, "1.2.4")
    (repository / "src/keepbusy/assets/street.mp4").unlink()
    _, wheel = build(repository, tmp_path / "built", None)
    with pytest.raises(ReleaseError, match=r"has no street\.mp4"):
        check_wheel(wheel, "1.2.3")


def test_the_wheel_from_the_sdist_has_the_addresses(repository: Path, tmp_path: Path) -> None:
    _, wheel = build(repository, tmp_path / "built", HOME)
    with zipfile.ZipFile(wheel) as archive:
        unpacked = archive.read("keepbusy-1.2.3.dist-info/METADATA").decode()
    for label, address in addresses(HOME).items():
        assert f"Project-URL: {label}, {address}\n" in unpacked
    assert f"{HOME}/raw/v1.2.3/docs/street.jpg" in unpacked and f"{HOME}/blob/v1.2.3/docs/heads.md" in unpacked


def test_without_an_address_the_page_has_no_links_that_lead_nowhere() -> None:
    assert index_page(README, None, "v1") == "# keepbusy\n\nSee `heads`.\n"


def test_with_an_address_links_lead_to_the_release() -> None:
    page = index_page(README, HOME, "v1")
    assert f"![a street]({HOME}/raw/v1/docs/street.jpg)" in page
    assert f"[another language]({HOME}/blob/v1/README.zh-CN.md)" in page
    assert f"[`heads`]({HOME}/blob/v1/docs/heads.md)" in page


@pytest.mark.parametrize(
    "same",
    [
        "[there](https://forge.example/x) and [below](#what-runs)\n",
        "```\n[not](a-link.md)\n```\n",
        "a table of shapes: [1, 25200, 85] (in pixels)\n",
    ],
)
def test_what_needs_no_repository_stays(same: str) -> None:
    assert index_page(same, None, "v1") == same == index_page(same, HOME, "v1")


def test_the_pages_of_this_repository_are_whole() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    page = index_page(readme, None, "v1")
    assert "](docs/" not in page and len(page) > len(readme) / 2
    assert version_of(REPOSITORY) in (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
