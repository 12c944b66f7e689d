"""What the outputs of a batch's files are called."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from keepbusy.batch.remote import is_remote
from keepbusy.batch.units import Entry
from keepbusy.files.endings import is_picture
from keepbusy.files.paths import natural_key
from keepbusy.sinks.naming import OutputNames


class JobNames(OutputNames):
    """Names as those of `keepbusy detect --save-txt` for the same files, wherever it is asked from.

    Files in several folders keep the folders below the innermost one that has all of them; those of an object store
    have one of their own. All files of the job have a name, whether they are done or not, so that none changes while
    the job goes on. Of files with the same name the first one in natural order has it, the next one `-2`;
    those of this machine come first.

    Args:
        entries: The job's files.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        places: dict[str, Path] = {}
        for entry in entries:
            places.setdefault(entry.name, place_of(entry))
        folders: dict[str, set[str]] = {}
        for place in places.values():
            folders.setdefault(_store(place), set()).add(os.path.dirname(place))
        super().__init__(Path(os.path.commonpath(some)) for some in folders.values())
        self._places = places
        ordered = sorted(places, key=lambda name: (_store(places[name]), natural_key(places[name])))
        for name in ordered:
            self.stem(name)
        self._pictures: dict[str, str] = {}
        taken: set[str] = set()
        for name in filter(is_picture, ordered):
            own = self._below_root(places[name])
            if own.lower() in taken or self.is_of_video(os.path.splitext(own)[0]):
                own = self.stem(name) + places[name].suffix
            taken.add(own.lower())
            self._pictures[name] = own

    def stem(self, source: str, source_id: int = 0) -> str:
        return super().stem(str(self._places.get(source, source)), source_id)

    def picture(self, source: str) -> str:
        """What a picture is called, with its ending: as it is, below the folder that has all of the job's files.

        No other one is called so, nor a video's frame: where that would be, it is called as its label file is.
        """
        return self._pictures.get(source, source)

    def _below_root(self, place: Path) -> str:
        root = next(root for root in self._roots if place.is_relative_to(root))
        return place.relative_to(root).as_posix()


def _store(place: Path) -> str:
    """`s3:` for a file of such a store; empty for one of this machine."""
    first = place.parts[1] if len(place.parts) > 1 else ""
    return first if first.endswith(":") else ""


def place_of(entry: Entry) -> Path:
    """Where a file is, as a path, without a login: `/s3:/bucket/clip.mp4` for `s3://bucket/clip.mp4`.

    A file in an archive is below it: `/zip:/videos/x.zip/clip.mp4` for `zip://clip.mp4::file:///videos/x.zip`.
    """
    if not is_remote(entry.location):
        return Path(entry.location)
    (scheme, rest), *outer = (_split(address) for address in entry.name.split("::"))
    if scheme == "file":
        return Path(os.path.abspath(rest))
    parts = [*(path for _, path in reversed(outer)), rest]
    return Path(os.path.abspath("/".join([f"/{scheme}:", *(part.strip("/") for part in parts)])))


def _split(address: str) -> tuple[str, str]:
    """The scheme and the path of an address; of one without a scheme the path."""
    scheme, sign, rest = address.rpartition("://")
    scheme = scheme.lower()
    if scheme in ("http", "https"):
        rest = rest.partition("?")[0]
    if scheme != "file" and sign:
        first, slash, path = rest.partition("/")
        rest = f"{first.rpartition('@')[2]}{slash}{path}"
    return scheme, rest
