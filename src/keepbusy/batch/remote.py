"""Files of object stores, through fsspec: listed, and fetched to this machine one by one.

A file is fetched in blocks. A block that fails is asked for again after a wait, so that a store that throttles costs
time and no work; what was fetched before is kept.
"""

from __future__ import annotations

import glob
import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from keepbusy.batch.logins import Logins
from keepbusy.batch.units import Entry
from keepbusy.config import Retry
from keepbusy.errors import MissingExtraError, SourceError, first_line
from keepbusy.files.paths import is_hidden, natural_key
from keepbusy.sources.listing import is_media
from keepbusy.texts import line_name, valid_text

log = logging.getLogger("keepbusy")

BLOCK_BYTES = 8 << 20

RETRY = Retry(first_wait_s=0.5, max_wait_s=30.0, max_attempts=8)
"""About two minutes in all: stores that throttle ask for seconds."""

_ENGINES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "tcp", "mms"})
"""Schemes of streams, which end no sooner than they are told to."""

_ASKED_AT_ONCE = 16

_GONE = frozenset({404, 410})
_REFUSED = frozenset({401, 403, 407})
"""Answers on the web that no second question changes."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.")

_STAMPS = ("ETag", "etag", "md5Hash", "Content-MD5", "mtime", "LastModified", "Last-Modified", "created")
"""What stores call the thing that changes with a file's content."""

_random = random.Random()  # nosec B311 # Spreads attempts in time; nothing is to be kept secret.


def is_remote(text: str) -> bool:
    """Whether a text is the address of a file or folder that fsspec opens."""
    return _SCHEME.match(text) is not None and text.partition("://")[0].lower() not in _ENGINES


def list_remote(address: str, logins: Logins) -> list[Entry]:
    """The files that an address names: itself, those of the folder, or those that match a pattern.

    Args:
        address: The address; its login is taken off.
        logins: Where that is kept.

    Raises:
        SourceError: There are none, or the store cannot be asked.
        MissingExtraError: fsspec is not installed.
    """
    name = logins.take_off(address)
    fs, path = _opened(name, logins)
    if _has_magic(path):
        infos = list(_asked(lambda: fs.glob(path, detail=True), name, logins).values())
    elif _asked(lambda: fs.isdir(path), name, logins):
        infos = _asked(lambda: fs.ls(path, detail=True), name, logins)
    else:
        return [remote_entry(name, logins)]
    places = {Path(str(one["name"]).partition("?")[0]): one for one in infos if one["type"] == "file"}
    wanted = sorted((one for one in places if is_media(one) and not is_hidden(one)), key=natural_key)
    if not wanted:
        raise SourceError(f"{name}: has no pictures or videos in it", hint="'**' in a pattern stands for sub-folders")
    given = logins.put_on(name)
    locations = [logins.take_off(_beside(given, path, str(places[one]["name"]), fs)) for one in wanted]
    if all(_tells_content(places[one]) for one in wanted):
        return [_entry(location, places[one]) for location, one in zip(locations, wanted, strict=True)]
    # A listing that tells no lengths, as on the web: each file is asked for by itself.
    with ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="keepbusy-look") as executor:
        return list(executor.map(partial(remote_entry, logins=logins), locations))


def _tells_content(info: Mapping[str, Any]) -> bool:
    return info.get("size") is not None and any(info.get(key) is not None for key in _STAMPS)


def _has_magic(path: str) -> bool:
    """Whether a path is a pattern. In an address of the web a question mark begins a query."""
    return glob.has_magic(path.partition("?")[0] if "://" in path else path)


def _beside(address: str, path: str, name: str, fs: Any) -> str:
    """The address of a file that was listed.

    Args:
        address: The address of its folder, or the pattern.
        path: As the store has that.
        name: The file's, as the store has it.
        fs: The store.
    """
    head, sign, behind = address.partition("::")
    head = head.rstrip("/")
    if path and head.endswith(path):
        return f"{head[: len(head) - len(path)]}{name}{sign}{behind}"
    return f"{fs.unstrip_protocol(name)}{sign}{behind}"


def remote_entry(location: str, logins: Logins) -> Entry:
    """One file of a store.

    Args:
        location: Its address without login.
        logins: Those of the job.

    Raises:
        FileNotFoundError: It is not there.
        SourceError: The store cannot be asked.
    """
    fs, path = _opened(location, logins)
    try:
        return _entry(location, _asked(lambda: fs.info(path), location, logins))
    except FileNotFoundError as error:
        raise SourceError(f"{location}: no such file in the store") from error


def _entry(location: str, info: Mapping[str, Any]) -> Entry:
    stamp = next((info[key] for key in _STAMPS if info.get(key) is not None), "")
    return Entry(valid_text(location), location, int(info.get("size") or 0), str(stamp))


def fetch(entry: Entry, folder: Path, logins: Logins) -> Path:
    """Bring a file to this machine, under a name with its own ending.

    Raises:
        FileNotFoundError: It is not there any more.
        SourceError: It cannot be had, or has changed meanwhile.
    """
    fs, path = _opened(entry.location, logins)
    place = folder / f"fetched{PurePosixPath(path.partition('?')[0]).suffix.lower()}"
    if not entry.size_bytes:
        _asked(partial(_fetch_to_end, fs, path, place), entry.name, logins)
        return place
    with place.open("wb") as file:
        begin = 0
        while begin < entry.size_bytes:
            end = min(begin + BLOCK_BYTES, entry.size_bytes)
            block = _asked(partial(fs.cat_file, path, start=begin, end=end), entry.name, logins)
            if not block:
                raise SourceError(f"{entry.name}: ends after {begin} of {entry.size_bytes} bytes")
            file.write(block)
            begin += len(block)
    return place


def _fetch_to_end(fs: Any, path: str, place: Path) -> None:
    """A file whose length the store does not tell, from its beginning."""
    with place.open("wb") as file, fs.open(path, "rb") as remote:
        while block := remote.read(BLOCK_BYTES):
            file.write(block)


def _opened(location: str, logins: Logins) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(f"reading {location}", extra="batch") from error
    try:
        fs, path = fsspec.core.url_to_fs(logins.put_on(location))
    except ImportError as error:
        told = logins.hide(first_line(error))
        raise SourceError(f"{location}: {told}", hint="fsspec has a package for each kind of store") from error
    except (ValueError, OSError) as error:
        raise SourceError(f"{location}: cannot be opened: {logins.hide(first_line(error))}") from error
    return fs, str(path)


def _asked(ask: Callable[[], Any], name: str, logins: Logins, retry: Retry = RETRY) -> Any:
    """A store's answer; asked again where it fails, unless the file is not there or may not be read.

    Raises:
        FileNotFoundError: There is no such file.
        SourceError: The store does not answer.
    """
    for attempt in range(1, (retry.max_attempts or 1) + 1):
        try:
            return ask()
        except Exception as error:  # Stores have errors of their own, which their packages define.
            status = getattr(error, "status", None) or getattr(error.__cause__, "status", None)
            if isinstance(error, FileNotFoundError) and (error.__cause__ is None or status in _GONE):
                raise
            may_try = not isinstance(error, PermissionError) and status not in _REFUSED
            if may_try and attempt < (retry.max_attempts or 1):
                wait_s = retry.wait_s(attempt) * _random.uniform(0.5, 1.0)
                log.info("%s: %s; asking again in %.1f s", line_name(name), logins.hide(_told(error)), wait_s)
                time.sleep(wait_s)
                continue
            if may_try:
                raise SourceError(
                    f"{name}: the store has failed {attempt} times: {logins.hide(_told(error))}",
                    hint="the same command tries again",
                ) from error
            raise SourceError(
                f"{name}: may not be read: {logins.hide(_told(error))}",
                hint="check the store's credentials; logins in addresses are not kept, so name the sources again",
            ) from error
    raise AssertionError("a store is asked at least once")


def _told(error: Exception) -> str:
    """What a store says. Some call every answer that is no file a missing one, and say in the cause what it was."""
    return first_line(error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error)
