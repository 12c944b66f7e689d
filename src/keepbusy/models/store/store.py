"""Models by name: fetched on first use, verified at every use, kept in the user's cache.

A file that is in the cache under its final name is whole and has the right checksum, or was put there by the user:
downloads grow under another name and are moved when they are verified, under a lock that ends with its process.

The checksum is the catalogue's. Where it has none, that of the file's first use counts: it is written beside the file
and holds ever after (trust on first use). A file that is no model is not trusted.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from keepbusy.cache.folder import cache_folder
from keepbusy.errors import ConfigError, ModelError, first_line
from keepbusy.files.parsing import parse_json
from keepbusy.files.paths import sha256_of
from keepbusy.files.whole import clear_place
from keepbusy.models.files import model_in
from keepbusy.models.onnx_size import check_onnx_size
from keepbusy.models.opsets import unknown_opset
from keepbusy.models.store.catalogue import CATALOGUE, KnownModel, find_known, near_names
from keepbusy.models.store.download import OnProgress, discard_part, disk, fetch_part
from keepbusy.models.store.limits import TIMEOUT_S, FetchError, Limits, limits_for
from keepbusy.models.store.own_file import read_own, write_own
from keepbusy.telemetry import import_openvino

MIRROR_VARIABLE = "KEEPBUSY_MODELS_URL"

_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelStore:
    """The cache of models that have names. Safe in several threads and processes at once.

    Args:
        folder: Where files are kept; None for `models` in `KEEPBUSY_CACHE`, or in the user's cache folder.
        catalogue: The models that it knows.
        base_url: A mirror: the address that file names are appended to; None for `KEEPBUSY_MODELS_URL`, or else each
            model's own.
        timeout_s: Seconds of silence after which a server counts as dead, where `limits` are not given.
        limits: Of each download; None takes them from the model's size and the environment.

    Raises:
        ConfigError: The mirror's address is neither http nor https.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        catalogue: tuple[KnownModel, ...] = CATALOGUE,
        base_url: str | None = None,
        timeout_s: float = TIMEOUT_S,
        limits: Limits | None = None,
    ) -> None:
        self.folder = folder or cache_folder() / "models"
        self.catalogue = catalogue
        self._base_url = base_url or os.environ.get(MIRROR_VARIABLE) or None
        self._timeout_s = timeout_s
        self._limits = limits
        if self._base_url is not None and urlsplit(self._base_url).scheme not in ("http", "https"):
            raise ConfigError(
                f"{MIRROR_VARIABLE}: {self._base_url!r} is not an http or https address",
                hint="give the address of the folder that has the files, for example https://mirror.example/models",
            )

    def path(self, known: KnownModel) -> Path:
        """Where a model's file is, or will be."""
        return self.folder / known.file_name

    def url(self, known: KnownModel) -> str:
        """Where a model's file is fetched from."""
        return known.url if self._base_url is None else f"{self._base_url.rstrip('/')}/{known.file_name}"

    def is_cached(self, known: KnownModel) -> bool:
        """Whether a model's file is there; not whether it is sound."""
        return os.path.isfile(self.path(known))

    def checksum(self, known: KnownModel) -> str | None:
        """The SHA-256 that a model's file must have: the catalogue's, or that of its first use; None before that."""
        if known.sha256 is not None:
            return known.sha256
        try:
            found = parse_json(read_own(self._record_path(known)))["sha256"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._bad_record(known) from error
        if not (isinstance(found, str) and _SHA256.fullmatch(found)):
            raise self._bad_record(known)
        return found

    def _bad_record(self, known: KnownModel) -> ModelError:
        return ModelError(
            f"{self._record_path(known)}: the record of {known.name}'s checksum cannot be read",
            hint=f"delete it to trust {known.file_name} as it is now",
        )

    def fetch(
        self,
        known: KnownModel,
        *,
        on_progress: OnProgress | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> Path:
        """A model's file, downloaded if it is not there, with the right checksum.

        Args:
            known: The model.
            on_progress: Called with the bytes that are here, and the file's length where it is known.
            on_wait: Called once if another process is at it and is waited for.

        Raises:
            ModelError: It cannot be downloaded, does not have the checksum, or cannot be written.
        """
        path = self.path(known)
        if not os.path.isfile(path):
            with self._lock(known, on_wait):
                # Whoever held the lock before may have brought it.
                if not os.path.isfile(path):
                    self._download(known, on_progress)
                    return path
        self._verify_cached(known)
        return path

    def licence_is_news(self, known: KnownModel) -> bool:
        """Whether a model's licence was never shown to this user."""
        return not os.path.isfile(self._licence_path(known))

    def licence_was_shown(self, known: KnownModel) -> None:
        """Remember that it was. Where the cache cannot be written it will be shown again."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_own(self._licence_path(known), f"shown: {known.licence}, {known.licence_url}\n".encode())

    def _download(self, known: KnownModel, on_progress: OnProgress | None) -> None:
        path, url = self.path(known), self.url(known)
        wanted = self.checksum(known)
        limits = self._limits or limits_for(known.size_mb, self._timeout_s)
        for is_last in (False, True):
            try:
                part, is_joined = fetch_part(url, path, limits=limits, on_progress=on_progress)
            except FetchError as error:
                raise ModelError(
                    f"{known.name}: cannot be downloaded from {url}: {error.message}",
                    hint=f"without a connection, put the file from {known.url} at {path}",
                ) from error
            with disk(part):
                found = sha256_of(part)
            if wanted in (None, found):
                if wanted is None:
                    self._prove(known, part)
                    self._write_record(known, found)
                with disk(path):
                    part.replace(path)
                discard_part(path)
                return
            discard_part(path)
            # The joint of two connections may be to blame: then once more, from the start.
            if is_last or not is_joined:
                raise self._wrong_checksum(known, url, str(wanted), found)

    def _verify_cached(self, known: KnownModel) -> None:
        path = self.path(known)
        wanted = self.checksum(known)
        try:
            found = sha256_of(path)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}", hint="check its permissions") from error
        if wanted is None:
            if (reason := _why_no_model(path)) is not None:
                raise ModelError(f"{path}: is no ONNX model: {reason}", hint="delete it to have it downloaded")
            # Put there by the user. A folder that cannot be written cannot be changed either: nothing to remember.
            with contextlib.suppress(ModelError):
                self._write_record(known, found)
        elif wanted != found:
            raise self._wrong_checksum(known, str(path), wanted, found)

    def _prove(self, known: KnownModel, path: Path) -> None:
        """See that a file that nobody vouches for is a model; what came and is none is thrown away.

        Raises:
            ModelError: It is none.
        """
        reason = _why_no_model(path)
        if reason is None:
            return
        discard_part(self.path(known))
        raise ModelError(
            f"{known.name}: what came from {self.url(known)} is no ONNX model: {reason}",
            hint=f"look at {known.url} in a browser: is it the file that you expect?",
        )

    def _wrong_checksum(self, known: KnownModel, where: str, wanted: str, found: str) -> ModelError:
        if known.sha256 is not None:
            hint = f"delete {self.path(known)} if it is there, and try again; if it stays so, do not use the file"
        else:
            hint = (
                f"it is not the file of the first use: delete {self.path(known)} to download it again, and "
                f"{self._record_path(known)} too if you trust the new one"
            )
        return ModelError(
            f"{known.name}: the file from {where} has the SHA-256 {found[:12]}..., expected is {wanted[:12]}...",
            hint=hint,
        )

    def _write_record(self, known: KnownModel, sha256: str) -> None:
        record = self._record_path(known)
        fresh = record.with_name(f"{record.name}.new")
        with disk(record):
            write_own(fresh, (json.dumps({"sha256": sha256, "url": self.url(known)}) + "\n").encode())
            fresh.replace(record)

    @contextlib.contextmanager
    def _lock(self, known: KnownModel, on_wait: Callable[[], None] | None) -> Iterator[None]:
        """Keep other processes away from a model's file. The system frees the lock of a process that dies."""
        from filelock import FileLock, Timeout

        path = self.folder / f"{known.file_name}.lock"
        lock = FileLock(path)
        try:
            with disk(path):
                self.folder.mkdir(parents=True, exist_ok=True)
                clear_place(path)
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    if on_wait is not None:
                        on_wait()
                    lock.acquire()
            yield
        finally:
            lock.release()  # Does nothing where it is not held.

    def _record_path(self, known: KnownModel) -> Path:
        return self.folder / f"{known.file_name}.json"

    def _licence_path(self, known: KnownModel) -> Path:
        return self.folder / f"{known.file_name}.licence"


def find_model(
    model: str | Path,
    *,
    on_progress: OnProgress | None = None,
    on_wait: Callable[[], None] | None = None,
    on_licence: Callable[[KnownModel], None] | None = None,
    store: ModelStore | None = None,
) -> Path:
    """The file of a model that is given by its path or its name.

    A path that exists, or has a suffix or a separator, gives the model that it leads to (`model_in`), or is returned
    as it is where it leads to none. A known name (`keepbusy models` lists them) is fetched on first use. A folder does
    not hide a known name.

    Args:
        model: The path, or the name.
        on_progress: Called during a download with the bytes that are here, and the file's length where it is known.
        on_wait: Called once if another process is downloading the same model and is waited for.
        on_licence: Called with the model the first time that this user uses it, before anything is downloaded.
        store: Where models are kept; None for the user's cache.

    Raises:
        ModelError: The name is not known, or its file cannot be fetched or is not the right one; or what the path
            names is too large to be ONNX.
        ConfigError: `KEEPBUSY_MODELS_URL` is not an http or https address.
    """
    path = Path(model)
    text = str(model)
    separators = {os.sep, os.altsep or os.sep}
    if path.suffix or any(separator in text for separator in separators) or os.path.isfile(path):
        path = _path_of(path)
        check_onnx_size(path)
        return path
    store = store or ModelStore()
    known = find_known(text, store.catalogue)
    if known is None:
        found = _path_of(path)
        if os.path.exists(found):
            return found
        near = near_names(text, store.catalogue)
        wanted = f"did you mean {' or '.join(near)}? " if near else ""
        raise ModelError(
            f"{text}: is neither a model file nor the name of a known model",
            hint=f"{wanted}`keepbusy models` lists the names",
        )
    if on_licence is not None and store.licence_is_news(known):
        on_licence(known)
        store.licence_was_shown(known)
    return store.fetch(known, on_progress=on_progress, on_wait=on_wait)


def _path_of(path: Path) -> Path:
    """The model that a path leads to; the path itself where whoever loads it is to say why it leads to none."""
    try:
        return model_in(path)
    except ModelError:
        return path


def _why_no_model(path: Path) -> str | None:
    """Why a file cannot be read as ONNX; None where it can be."""
    openvino = import_openvino()
    try:
        if unknown_opset(path) is not None:
            return "it names an operator set that there is not"
        frontend = openvino.frontend.FrontEndManager().load_by_framework("onnx")
        model = frontend.convert(frontend.load(str(path)))
    except Exception as error:  # OpenVINO's own failures have no base class but this one.
        return "it cannot be read" if "parsed" in str(error) else first_line(error)
    return None if model.get_parameters() and model.get_results() else "it has no inputs and outputs"
