"""The one writer of every file and folder that this package makes.

At every instant the name holds what it held before or the whole new output. The work is done in a
folder of our own beside the target, `.ltx2-<random>`, so that no name of anyone else's is touched
and no link is followed:

    lock        locked while the run lives; the system unlocks it however the run ends
    new         what is being written: a file, or a folder of files
    old/NAME    the folder that is replaced, where the file system cannot exchange two

A file takes its place by a rename, a folder by an exchange of the two. Everything is on the disk
before that. `check` and each write remove what dead runs left in the same folder: what nobody
locks.

What remains. Where the file system cannot exchange (not Linux or macOS, or vfat, NFS), a folder is
moved aside and the new one moved in: between the two the name is missing, and if the run is killed
there, the next one puts the old folder back. On a network file system whose locks do not reach
other machines, a run there can take ours for dead; our write then fails, with an error. Where there
are no locks at all, what dead runs left stays. A hard link to the target keeps the old file.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import stat
import sys
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS = re.compile(r"\.ltx2-[0-9a-f]{16}")
_PARTS = {"lock", "new", "old"}


def check(path: str | os.PathLike[str], *, folder: bool = False) -> None:
    """Refuse what `new_file` or `new_folder` could not write to, by writing next to it."""
    with _system_errors(path):
        target = _resolved(path, folder=folder)
        _clean(target.parent)
        with _workspace(target.parent) as work:
            (work / "new").mkdir()
            (work / "new" / target.name).touch()  # does the file system take the name?


@contextmanager
def scratch(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path where a trial can be written as `path` would be; it is removed in the end."""
    with _workspace(Path(os.path.realpath(path)).parent) as work:
        yield work / "new"


def free_space(path: str | os.PathLike[str]) -> int:
    """Bytes, where `path` would be written."""
    return shutil.disk_usage(Path(os.path.realpath(path)).parent).free


@contextmanager
def new_file(path: str | os.PathLike[str], *, replace: bool = True) -> Iterator[Path]:
    """A path to write a file at, which becomes `path` when the block ends, and else disappears.

    A link at `path` is followed: what it points to is replaced. Its permissions are kept. Without
    `replace` nothing is: FileExistsError is raised, in the end too.
    """
    target = _resolved(path, folder=False, replace=replace)
    _clean(target.parent)
    with _workspace(target.parent) as work:
        new = work / "new"
        yield new
        sync(new)
        _keep_mode(target, new)  # which we may not be able to open
        if replace:
            new.replace(target)
        else:
            _take_name(new, target)
        sync(target.parent)


@contextmanager
def new_folder(path: str | os.PathLike[str], *, replace: bool = True) -> Iterator[Path]:
    """A folder to write files into, which becomes `path` as in `new_file`."""
    target = _resolved(path, folder=True, replace=replace)
    _clean(target.parent)
    with _workspace(target.parent) as work:
        new = work / "new"
        new.mkdir()
        yield new
        _keep_mode(target, new)
        for file in new.iterdir():
            sync(file)
        sync(new)
        if not target.exists():
            new.replace(target)
        elif not replace:
            raise _exists(target)
        elif not _exchange(new, target):
            _move_aside(target, work)
            new.replace(target)
        sync(target.parent)


# ---- what a path is


@contextmanager
def _system_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """The system's refusals before any work are a bad argument; a full disk is not."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        words = error.strerror or error
        raise InvalidArgumentError(f"{os.fspath(path)}: cannot be written: {words}") from None


def real(path: str | os.PathLike[str]) -> Path:
    """The path with links followed."""
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:  # a NUL, or letters that no name can have
        raise InvalidArgumentError(f"{os.fspath(path)!r}: is no path: {error}") from None


def _resolved(path: str | os.PathLike[str], *, folder: bool, replace: bool = True) -> Path:
    """The path with links followed, if it is free or holds what may be replaced."""
    target = real(path)
    if not target.parent.is_dir():
        raise InvalidArgumentError(f"{path}: there is no folder {target.parent}")
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - as it was given: the system may refuse a link
    except FileNotFoundError:
        return target
    if not replace:
        raise _exists(target)
    if folder and not stat.S_ISDIR(mode):
        raise InvalidArgumentError(f"{path}: is a file; .png writes a folder of frames")
    if not folder and stat.S_ISDIR(mode):
        raise InvalidArgumentError(f"{path}: is a folder; name a file")
    if not folder and not stat.S_ISREG(mode):
        raise InvalidArgumentError(f"{path}: is a device or a pipe; name a file")
    if os.path.ismount(target):  # a rename would be refused, after the work
        raise InvalidArgumentError(f"{path}: is mounted there; name a place in a mounted folder")
    if not os.access(target, os.W_OK):
        raise InvalidArgumentError(f"{path}: cannot be written: it is read-only")
    return target


def _keep_mode(target: Path, new: Path) -> None:
    """Owner and permissions of what is replaced, as far as the system lets us."""
    with suppress(OSError):  # there is none, or there are no modes
        old = target.stat()
        with suppress(OSError, AttributeError):  # another's; Windows
            os.chown(new, old.st_uid, old.st_gid)
        new.chmod(stat.S_IMODE(old.st_mode))


# ---- the folder of a run


@contextmanager
def _workspace(parent: Path) -> Iterator[Path]:
    work, lock = parent / f".ltx2-{secrets.token_hex(8)}", None
    try:
        for _ in range(100):  # until it is locked another run may take it for a dead one's
            with suppress(FileExistsError):
                work.mkdir(0o700)
            if lock := _locked(work):
                break
        else:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(parent))
        yield work
    finally:
        try:
            _remove(work, lock)
        except BaseException:  # Ctrl-C
            _remove(work, lock)
            raise


def _clean(parent: Path) -> None:
    """Remove what dead runs of ours left there."""
    with suppress(OSError):
        for work in [path for path in parent.iterdir() if _OURS.fullmatch(path.name)]:
            if _is_ours(work) and (lock := _locked(work, must=True)) is not None:
                _remove(work, lock)


def _is_ours(work: Path) -> bool:
    with suppress(OSError):
        about = work.lstat()
        mine = not hasattr(os, "geteuid") or about.st_uid == os.geteuid()
        if stat.S_ISDIR(about.st_mode) and mine:
            return {path.name for path in work.iterdir()} <= _PARTS
    return False


def _remove(work: Path, lock: FileIO | None) -> None:
    """With all that is in it; but a replaced folder whose name is free goes back there."""
    try:
        for old in (work / "old").glob("*"):
            if not os.path.lexists(work.parent / old.name):
                old.replace(work.parent / old.name)
        for part in ("new", "old"):
            _delete(work / part)
        if os.name == "posix":  # while we have it: Windows removes no open file
            (work / "lock").unlink(missing_ok=True)
    except OSError:
        pass  # the next run will try again
    finally:
        if lock is not None:
            lock.close()
    with suppress(OSError):
        if os.name != "posix":
            (work / "lock").unlink(missing_ok=True)
        work.rmdir()


def _delete(path: Path) -> None:
    """As shutil.rmtree, which may lose a Ctrl-C."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for inner in path.iterdir():
        _delete(inner)
    path.rmdir()


def _locked(work: Path, *, must: bool = False) -> FileIO | None:
    """The open lock of a folder; None if another run has it, or has just removed it.

    Where there are no locks, it is open and not locked, or with `must` None.
    """
    try:
        lock = FileIO(work / "lock", "a")
    except FileNotFoundError:
        return None
    try:
        have = _lock(lock.fileno())
        if (have or (have is None and not must)) and os.fstat(lock.fileno()).st_nlink:
            return lock
    except BaseException:
        lock.close()
        raise
    lock.close()
    return None


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> bool | None:
        """Whether we have it now; None where the file system has no locks."""
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        except OSError:
            return None
        return True
else:
    import fcntl

    def _lock(file: int) -> bool | None:
        """As above."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True


# ---- the system's calls


def sync(path: Path) -> None:
    """Bring a file or folder to the disk; a full one may show itself only here."""
    try:
        file = os.open(path, os.O_RDONLY if path.is_dir() or os.name == "posix" else os.O_RDWR)
    except OSError:
        if path.is_dir():  # Windows opens none
            return
        raise
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # no such call there
            raise
    finally:
        os.close(file)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where that cannot be done."""
    names = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "linux":
            here = -100  # AT_FDCWD: paths are as in other calls
            failed = _library().renameat2(here, names[0], here, names[1], 2)  # RENAME_EXCHANGE
        elif sys.platform == "darwin":
            failed = _library().renamex_np(*names, 2)  # RENAME_SWAP
        else:
            return False
    except AttributeError:  # an older system
        return False
    if failed and ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))
    return not failed


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _exists(target: Path) -> OSError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))


def _take_name(new: Path, target: Path) -> None:
    """Give a file a name that nothing has, in one step where the file system has hard links."""
    try:
        os.link(new, target)
    except FileExistsError:
        raise _exists(target) from None
    except OSError:
        if os.path.lexists(target):
            raise _exists(target) from None
        new.replace(target)


def _move_aside(target: Path, work: Path) -> None:
    (work / "old").mkdir()
    target.replace(work / "old" / target.name)
