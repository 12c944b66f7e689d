"""What a release asks of the repository: a clean tree, an entry in the changelog, a tag that is not taken."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

VERSION_FILE = "src/keepbusy/version.py"
CHANGELOG = "CHANGELOG.md"

_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_SSH = re.compile(r"(?:ssh://)?git@(?P<host>[^:/]+)(?::\d+/|[:/])(?P<path>.+)")


class ReleaseError(Exception):
    """A release cannot be made.

    Args:
        message: What is wrong.
        hint: What to do.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def git(root: Path, *arguments: str) -> str:
    """What a git command prints.

    Raises:
        ReleaseError: It fails.
    """
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, encoding="utf-8", check=False)
    except OSError as error:
        raise ReleaseError(f"git cannot be run: {error.strerror}", "install git, and run this in a clone") from error
    if done.returncode:
        raise ReleaseError(
            f"git {' '.join(arguments)} failed: {done.stderr.strip()}", "run the release in a clone of the repository"
        )
    return done.stdout.rstrip()


def version_of(root: Path) -> str:
    """The version that the source states.

    Raises:
        ReleaseError: It states none.
    """
    hint = 'give it a line `__version__ = "1.2.3"`'
    found = _VERSION.search(_text_of(root, VERSION_FILE, hint))
    if found is None:
        raise ReleaseError(f"{VERSION_FILE} states no version", hint)
    return found[1]


def _text_of(root: Path, name: str, hint: str) -> str:
    """The text of a file of the repository.

    Raises:
        ReleaseError: It cannot be read.
    """
    try:
        return (root / name).read_text(encoding="utf-8")
    except OSError as error:
        raise ReleaseError(f"{name} cannot be read: {error.strerror}", hint) from error
    except UnicodeDecodeError as error:
        raise ReleaseError(f"{name} is no UTF-8 text", "save it as UTF-8") from error


def check_tree(root: Path) -> None:
    """Check that what is built is what is committed.

    Raises:
        ReleaseError: Files are changed, or not tracked.
    """
    # Whatever the user's own configuration of git leaves out.
    changed = git(root, "status", "--porcelain", "--untracked-files=all")
    if changed:
        names = ", ".join(line[2:].strip() for line in changed.splitlines()[:5])
        raise ReleaseError(f"the tree is not clean: {names}", "commit these files, or remove them")


def check_changelog(root: Path, version: str) -> None:
    """Check that the changelog says what the version brings.

    Raises:
        ReleaseError: It has no dated entry for the version, or an empty one.
    """
    hint = f"head what is new with `## [{version}] - YEAR-MONTH-DAY`, and keep `## [Unreleased]` above it"
    text = _text_of(root, CHANGELOG, hint)
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    entry = re.search(rf"{heading}(?P<text>.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if entry is None:
        raise ReleaseError(f"{CHANGELOG} has no dated entry for {version}", hint)
    if not re.search(r"^- ", entry["text"], re.MULTILINE):
        raise ReleaseError(f"the entry for {version} in {CHANGELOG} is empty", "list what the version brings")


def check_tag(root: Path, tag: str) -> None:
    """Check that a tag is free, here and in the repository this was cloned from, where that can be asked.

    Raises:
        ReleaseError: It exists.
    """
    hint = f"raise the version in {VERSION_FILE}: a published version never changes"
    if git(root, "tag", "--list", tag):
        raise ReleaseError(f"the tag {tag} exists", hint)
    if "origin" in git(root, "remote").split() and git(root, "ls-remote", "--tags", "origin", f"refs/tags/{tag}"):
        raise ReleaseError(f"the tag {tag} exists in origin", hint)


def home_of(root: Path, given: str | None) -> str:
    """The repository's address, for the page in the index: as given, or where this was cloned from.

    Raises:
        ReleaseError: It was cloned from a folder, or not at all, and no address was given.
    """
    address = given
    if address is None and "origin" in git(root, "remote").split():
        address = git(root, "remote", "get-url", "origin")
    ssh = _SSH.fullmatch(address or "")
    if ssh is not None:
        address = f"https://{ssh['host']}/{ssh['path']}"
    if address is not None and "@" in address.partition("://")[2].partition("/")[0]:
        raise ReleaseError(
            "the repository's address has a name or a password in it, which every page of the package would show",
            "name it without: --home https://HOST/OWNER/NAME",
        )
    if address is None or not re.fullmatch(r"https://[^\s/]+/\S+", address):
        raise ReleaseError(
            f"the repository's address is not known: {address or 'there is no remote'!r} is no address on the web",
            "name it: --home https://HOST/OWNER/NAME",
        )
    return address.rstrip("/").removesuffix(".git")
