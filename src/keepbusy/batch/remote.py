"""Files of object stores, through fsspec: listed, and fetched to this machine one by one.

A file is fetched in blocks. A block that fails is asked for again after a wait, so that a store that throttles costs
time and no work; what was fetched before is kept.
"""

from __future__ import annotations

import glob
import logging
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from keepbusy.batch.units import Entry
from keepbusy.config import Retry
from keepbusy.errors import MissingExtraError, SourceError, first_line
from keepbusy.files.paths import is_hidden, natural_key
from keepbusy.sources.listing import is_media
from keepbusy.texts import line_name, valid_text, without_secrets

log = logging.getLogger("keepbusy")

BLOCK_BYTES = 8 << 20

RETRY = Retry(first_wait_s=0.5, max_wait_s=30.0, max_attempts=8)
"""About two minutes in all: stores that throttle ask for seconds."""

_ENGINES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "tcp", "mms"})
"""Schemes of streams, which end no sooner than they are told to."""

_STAMPS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created")
"""What stores call the thing that changes with a file's content."""

_random = random.Random()  # nosec B311 # Spreads attempts in time; nothing is to be kept secret.


def is_remote(text: str) -> bool:
    """Whether a text is the address of a file or folder that fsspec opens."""
    scheme, sign, _ = text.partition("://")
    return bool(sign) and scheme.lower() not in _ENGINES


def list_remote(address: str) -> list[Entry]:
    """The files that an address names: itself, those of the folder, or those that match a pattern.

    Raises:
        SourceError: There are none, or the store cannot be asked.
        MissingExtraError: fsspec is not installed.
    """
    fs, path = _opened(address)
    name = without_secrets(address)
    if glob.has_magic(path):
        infos = list(_asked(lambda: fs.glob(path, detail=True), name).values())
    elif _asked(lambda: fs.isdir(path), name):
        infos = _asked(lambda: fs.ls(path, detail=True), name)
    else:
        return [remote_entry(address)]
    places = {Path(str(one["name"])): one for one in infos if one["type"] == "file"}
    wanted = sorted((one for one in places if is_media(one) and not is_hidden(one)), key=natural_key)
    if not wanted:
        raise SourceError(f"{name}: has no pictures or videos in it", hint="'**' in a pattern stands for sub-folders")
    return [_entry(str(fs.unstrip_protocol(str(places[one]["name"]))), places[one]) for one in wanted]


def remote_entry(address: str) -> Entry:
    """One file of a store.

    Raises:
        SourceError: It is not there, or the store cannot be asked.
    """
    fs, path = _opened(address)
    name = without_secrets(address)
    try:
        info = _asked(lambda: fs.info(path), name)
    except FileNotFoundError as error:
        raise SourceError(f"{name}: no such file in the store") from error
    # One name for one file, unless a login would be lost.
    return _entry(address if "@" in address else str(fs.unstrip_protocol(path)), info)


def _entry(address: str, info: Mapping[str, Any]) -> Entry:
    stamp = next((info[key] for key in _STAMPS if key in info), "")
    return Entry(valid_text(without_secrets(address)), address, int(info.get("size") or 0), str(stamp))


def fetch(entry: Entry, folder: Path) -> Path:
    """Bring a file to this machine, under a name with its own ending.

    Raises:
        SourceError: It cannot be had, or has changed meanwhile.
    """
    fs, path = _opened(entry.location)
    place = folder / f"fetched{PurePosixPath(path).suffix.lower()}"
    with place.open("wb") as file:
        begin = 0
        while begin < entry.size_bytes:
            end = min(begin + BLOCK_BYTES, entry.size_bytes)
            block = _asked(partial(fs.cat_file, path, start=begin, end=end), entry.name)
            if not block:
                raise SourceError(f"{entry.name}: ends after {begin} of {entry.size_bytes} bytes")
            file.write(block)
            begin += len(block)
    return place


def _opened(address: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(f"reading {without_secrets(address)}", extra="batch") from error
    name = without_secrets(address)
    try:
        fs, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise SourceError(f"{name}: {first_line(error)}", hint="fsspec has a package for each kind of store") from error
    except (ValueError, OSError) as error:
        raise SourceError(f"{name}: cannot be opened: {first_line(error)}") from error
    return fs, str(path)


def _asked(ask: Callable[[], Any], name: str, retry: Retry = RETRY) -> Any:
    """A store's answer; asked again where it fails, unless the file is not there or may not be read.

    Raises:
        FileNotFoundError: There is no such file.
        SourceError: The store does not answer.
    """
    for attempt in range(1, (retry.max_attempts or 1) + 1):
        try:
            return ask()
        except FileNotFoundError:
            raise
        except PermissionError as error:
            raise SourceError(
                f"{name}: may not be read: {first_line(error)}", hint="check the store's credentials"
            ) from error
        except Exception as error:  # Stores have errors of their own, which their packages define.
            if attempt == retry.max_attempts:
                raise SourceError(
                    f"{name}: the store has failed {attempt} times: {first_line(error)}",
                    hint="the same command tries again",
                ) from error
            wait_s = retry.wait_s(attempt) * _random.uniform(0.5, 1.0)
            log.info("%s: %s; asking again in %.1f s", line_name(name), first_line(error), wait_s)
            time.sleep(wait_s)
    raise AssertionError("a store is asked at least once")
