"""Gets files of the Hugging Face hub into huggingface_hub's cache: resumed, checked, one line said.

huggingface_hub is the client: its token, HF_ENDPOINT, HF_HUB_OFFLINE, proxies and retries. Two
things are ours, as its own download function does neither: a partial file stays for the next
attempt (version 2 removes it), and what has come is compared with the checksum that the hub states.
Files lie as huggingface_hub lays them (its guide "Understand caching"):

    blobs/CHECKSUM              the file; while it comes, CHECKSUM.incomplete
    snapshots/COMMIT/FILE       a link to it, or the file itself where no links can be made
    refs/REVISION               the commit that the name of a revision stands for

What the hub says is not trusted further than it must be: a checksum or a commit is hexadecimal or
refused, as it becomes a name here, and no file grows beyond the size that was stated.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import hub, writer
from .codecs import one_line
from .errors import Error, InvalidArgumentError, ModelError, OutOfMemoryError
from .hub import File, Plan
from .partial import Digest, LongerError, Meter, Partial, read_into
from .video import StopError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .video import Progress

_log = logging.getLogger("ltx2")
_theirs = logging.getLogger("huggingface_hub")
_one_at_a_time = threading.RLock()  # huggingface_hub's log and bars are one of the whole process

_ATTEMPTS = 3  # in a row, without a byte more
_PAUSE = 1.0  # seconds before the second; then twice as long
_PATIENCE = 1.0  # seconds for which another process is waited for without a word
_KEPT = "; what has come is kept, and the next pull goes on from there"
_CHECKSUM = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")  # SHA-256 of large files, git's of small ones
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SIGNED = re.compile(r"\?\S*?(?=:?(\s|$))")  # what follows an address may be a signature


def pull(
    wanted: hub.ModelSet,
    begin: Callable[[Plan], object] | None,
    progress: Callable[[Progress], object] | None,
) -> None:
    """As hub.pull."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        _log.warning("HF_HUB_OFFLINE is set: nothing is downloaded or checked")
        return
    _check_settings()
    with _one_at_a_time:
        files = tuple(
            _looked_up(item.repository, name, item.revision)
            for item in wanted.items
            for name in item.files
        )
        plan = _planned(wanted, files)
        if begin:
            begin(plan)
        try:
            _bring(files, progress)
        except StopError as stop:
            raise stop.error from None


def _check_settings() -> None:
    """Refuse what no attempt can send."""
    from huggingface_hub import constants, get_token

    if not constants.ENDPOINT.startswith(("http://", "https://")):
        words = "begins with neither http:// nor https://"
        raise InvalidArgumentError(f"HF_ENDPOINT: {constants.ENDPOINT} {words}")
    token = get_token() or ""
    if not (token.isascii() and token.isprintable()):
        words = "holds letters that no token has; copy it again"
        raise InvalidArgumentError(f"HF_TOKEN, or what `hf auth login` kept: {words}")


def _bring(files: tuple[File, ...], progress: Callable[[Progress], object] | None) -> None:
    missing = [file for file in files if not file.here()]
    missing += _damaged([file for file in files if file.here()], progress)
    _fetch_all(missing, progress)
    for file in files:
        _lay(file)
    for file in files:
        _name_commit(file)


def _planned(wanted: hub.ModelSet, files: tuple[File, ...]) -> Plan:
    folder = hub.cache()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = writer.free_space(existing / "any")
    missing = sum(file.missing() for file in files)
    if missing > free:
        words = f"{wanted.name} needs {gigabytes(missing)}, {gigabytes(free)} are free"
        raise OSError(errno.ENOSPC, words, str(folder))
    return Plan(wanted, files, missing, free, folder)


def gigabytes(size: float) -> str:
    """As the pages of the hub count: 1e9 bytes."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size:.0f} bytes"


# ---- what the hub says of a file


def _looked_up(repository: str, name: str, revision: str) -> File:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    what = f"{repository}/{name}"
    url = hf_hub_url(repository, name, revision=revision)
    with _talking(repository, what):
        said = _persistent(what, lambda: get_hf_file_metadata(url))
    commit, checksum, size = said.commit_hash or "", said.etag or "", said.size
    if not _COMMIT.fullmatch(commit) or not _CHECKSUM.fullmatch(checksum) or size is None:
        words = "the answer of the server has no commit, checksum or size that can be used"
        raise ModelError(f"{what}: {words}; is it a hub? HF_ENDPOINT names another one")
    return File(repository, name, revision, commit, checksum, size)


def _persistent(what: str, work: Callable[[], Any], size: Callable[[], int] = int) -> Any:
    """What `work` gives; tried again where that may help, and anew whenever `size` has grown."""
    failures, before = 0, size()
    while True:
        try:
            return work()
        except Exception as error:  # noqa: PERF203
            failures = 1 if size() > before else failures + 1
            before = size()
            if failures >= _ATTEMPTS or not _may_pass(error):
                raise
            _log.warning("%s: %s; trying again", what, _said(error))
            time.sleep(_PAUSE * 2 ** (failures - 1))


def _may_pass(error: Exception) -> bool:
    """Whether a server or a line that failed so may do better in a while."""
    if isinstance(error, (Error, MemoryError)):
        return False
    status = _status(error)
    if status is not None:
        return status in (408, 429) or status >= 500
    return not isinstance(error, OSError) or error.errno in (None, *_LINE)


# What a connection says, unlike a disk.
_LINE = {
    errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH,
    errno.ENETDOWN, errno.ENETUNREACH, errno.EPIPE, errno.ETIMEDOUT,
}  # fmt: skip


# ---- one door


@contextmanager
def _talking(repository: str, what: str, advice: str = "") -> Iterator[None]:
    """Around every call of huggingface_hub: what it or its HTTP library raises is one line."""
    try:
        with _one_at_a_time, _their_words():
            yield
    except Error:
        raise
    except MemoryError:
        raise OutOfMemoryError(f"{what}: too little memory to download it") from None
    except Exception as error:
        raise _translated(repository, what, error, advice) from error


def _translated(repository: str, what: str, error: Exception, advice: str) -> Exception:
    from huggingface_hub import constants, get_token, utils

    page = f"{constants.ENDPOINT}/{repository}"
    status = _status(error)
    if isinstance(error, utils.GatedRepoError):
        login = "with the account of the token in use" if get_token() else "and log in with a token"
        words = f"is gated; accept its licence at {page} {login} (`hf auth login` or HF_TOKEN)"
        return ModelError(f"{what}: {words}")
    if isinstance(error, utils.RepositoryNotFoundError) or status == 401:
        words = f"there is no such repository, or it is private, or the token is wrong; see {page}"
        return ModelError(f"{what}: {words}")
    if status is not None and not _may_pass(error):
        return ModelError(f"{what}: the hub refuses it ({status}); see {page}")
    if isinstance(error, OSError) and error.errno is not None and status is None:
        return OSError(error.errno, one_line(error), error.filename or what)
    return ConnectionError(f"{what}: the download failed: {_said(error)}{advice}")


def _status(error: Exception) -> int | None:
    """The HTTP status that the hub answered with, if it answered."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _said(error: Exception) -> str:
    """Without the address, which may hold a signature."""
    status = _status(error)
    return one_line(error) if status is None else f"the hub answered {status}"


@contextmanager
def _their_words() -> Iterator[None]:
    """huggingface_hub's messages go to our log, and its bars are not drawn."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    class Relay(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = _SIGNED.sub("", record.getMessage())
            _log.log(record.levelno, "%s", " ".join(text.split()))

    before = _theirs.handlers, _theirs.propagate
    quiet = are_progress_bars_disabled()
    _theirs.handlers, _theirs.propagate = [Relay()], False
    if not quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        _theirs.handlers, _theirs.propagate = before
        if not quiet:
            enable_progress_bars()


# ---- bytes


def _damaged(files: list[File], progress: Callable[[Progress], object] | None) -> list[File]:
    """Those whose bytes are not what the hub says; they are removed."""
    meter, bad = Meter(files, progress), []
    for file in files:
        path, digest = file.here(), Digest(file)
        if path is None:  # another process has just removed it
            bad.append(file)
            continue
        read = path.stat()
        read_into(digest, path, meter.show_verified)
        if not digest.right:
            _log.warning("%s: is damaged; it is downloaded again", path)
            _remove(file, read)
            bad.append(file)
        meter.done += file.size
    return bad


def _remove(file: File, read: os.stat_result) -> None:
    """What was read; not what another process has brought in its place meanwhile."""
    with _locked(file):
        for path in (file.link, file.blob):
            if path.exists() and os.path.samestat(path.stat(), read):
                path.unlink()


def _fetch_all(files: list[File], progress: Callable[[Progress], object] | None) -> None:
    meter = Meter(files, progress)
    for file in files:
        with _talking(file.repository, str(file), _KEPT):
            _fetch(file, meter)
        meter.done += file.size


def _fetch(file: File, meter: Meter) -> None:
    """Bring one file, unless another process has brought it in the meantime."""
    file.blob.parent.mkdir(parents=True, exist_ok=True)
    with _locked(file):
        for _ in range(2):
            if file.here() or _came(file, meter):
                return
            _log.warning("%s: came damaged; it is downloaded again", file)
    words = f"what comes has not the checksum {file.checksum} that the hub states"
    raise ModelError(f"{file}: {words}; try again later, or without a proxy between")


@contextmanager
def _locked(file: File) -> Iterator[None]:
    """As huggingface_hub does while it brings one."""
    from huggingface_hub.utils import WeakFileLock

    lock = hub.cache() / ".locks" / hub.storage(file.repository).name / f"{file.checksum}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    words = "%s: another process brings it; waiting"
    told = threading.Timer(_PATIENCE, _log.warning, (words, file))
    told.daemon = True
    told.start()
    try:
        with WeakFileLock(str(lock)):
            told.cancel()
            yield
    finally:
        told.cancel()


def _came(file: File, meter: Meter) -> bool:
    """Whether what came is right; it is the blob then, else it is removed."""
    partial = Partial(file, meter)
    try:
        _persistent(str(file), lambda: _transfer(file, partial), partial.tell)
        right = partial.digest.right
    except LongerError:
        right = False
    finally:
        partial.close()
    if right:
        writer.sync(file.partial)
        file.partial.replace(file.blob)
    else:
        file.partial.unlink()
    return right


def _transfer(file: File, partial: Partial) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    if partial.digest.size == file.size:
        return
    partial.bring(lambda: http_get(
        hf_hub_url(file.repository, file.name, revision=file.commit),
        partial,  # type: ignore[arg-type]  # as much of a file as it uses
        resume_size=partial.digest.size,
        headers=build_hf_headers(),
    ))  # fmt: skip


# ---- where it lies


def _lay(file: File) -> None:
    """Give the blob its name in the snapshot."""
    if file.link.is_file():
        return
    file.link.parent.mkdir(parents=True, exist_ok=True)
    file.link.unlink(missing_ok=True)  # a link to a blob that is gone
    try:
        file.link.symlink_to(os.path.relpath(file.blob, file.link.parent))
    except FileExistsError:  # by another process
        pass
    except OSError:  # no links here
        file.blob.replace(file.link)


def _name_commit(file: File) -> None:
    """Last of all: until then the revision names what was there before."""
    path = hub.storage(file.repository) / "refs" / file.revision
    if file.commit in (file.revision, hub.named(path)):  # a cache that is whole may be read-only
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with writer.new_file(path) as new:
        new.write_text(file.commit, encoding="utf-8")
