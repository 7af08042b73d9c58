"""Names of models that can be downloaded, and where their files lie.

`weights.json` lists them: a name such as "ltx-2.3-distilled:q4_0" is a set of items, each one file
of a repository on the Hugging Face hub, or several that form one folder. What is downloaded lies in
huggingface_hub's cache, laid as that does, so other programs find it too and its own commands
remove it. A name whose items are all there is a model wherever a path is.

docs/weights.md is the page for people. What talks to the hub is download.py.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InvalidArgumentError, ModelError
from .model_files import StrPath
from .video import Progress


@dataclass(frozen=True)
class Licence:
    title: str
    page: str


@dataclass(frozen=True)
class Item:
    """One file of a repository, or several that form one folder."""

    repository: str
    revision: str
    files: tuple[str, ...]
    parts: tuple[str, ...]  # of a model, as `capabilities()` names them
    gb: float  # 1e9 bytes, as the repository's pages show it; the hub says it exactly
    licence: Licence

    def path(self) -> Path | None:
        """The file or folder, if it is downloaded."""
        for snapshot in _snapshots(self.repository, self.revision):
            paths = [snapshot / file for file in self.files]
            if all(path.is_file() for path in paths):
                return paths[0] if len(paths) == 1 else paths[0].parent
        return None


@dataclass(frozen=True)
class ModelSet:
    """What one name stands for."""

    name: str
    about: str
    items: tuple[Item, ...]

    @property
    def gb(self) -> float:
        return round(sum(item.gb for item in self.items), 1)

    @property
    def licences(self) -> tuple[Licence, ...]:
        return tuple(dict.fromkeys(item.licence for item in self.items))

    def paths(self) -> list[Path]:
        """The files and folders to open. Raises ModelError where one is not downloaded."""
        paths = [item.path() for item in self.items]
        found = [path for path in paths if path is not None]
        if len(found) < len(paths):
            words = f"{len(paths) - len(found)} of its {len(paths)} files are not downloaded"
            raise ModelError(f"{self.name}: {words}; `ltx2 pull {self.name}` gets them")
        return found


@dataclass(frozen=True)
class File:
    """A file on the hub, as the hub describes it."""

    repository: str
    name: str
    revision: str
    commit: str  # that the revision names
    checksum: str
    size: int

    def __str__(self) -> str:
        return f"{self.repository}/{self.name}"

    @property
    def blob(self) -> Path:
        return storage(self.repository) / "blobs" / self.checksum

    @property
    def partial(self) -> Path:
        return self.blob.with_name(f"{self.checksum}.incomplete")

    @property
    def link(self) -> Path:
        return storage(self.repository) / "snapshots" / self.commit / self.name

    def here(self) -> Path | None:
        """Where it lies, complete, whatever is in it."""
        return next((path for path in (self.link, self.blob) if path.is_file()), None)

    def missing(self) -> int:
        """How many bytes have to come."""
        if self.here():
            return 0
        try:
            have = self.partial.stat().st_size
        except OSError:
            have = 0
        return self.size - have if have <= self.size else self.size


@dataclass(frozen=True)
class Plan:
    """What a pull is about to do."""

    wanted: ModelSet
    files: tuple[File, ...]
    missing: int  # bytes to download
    free: int  # bytes, where they will lie
    folder: Path

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def model_sets() -> Iterator[ModelSet]:
    """All of them, in the table's order: the first of a kind is what its bare name means."""
    table = _table()
    for kind, about in table["sets"].items():
        for quant, items in about["quants"].items():
            yield ModelSet(f"{kind}:{quant}", about["about"], tuple(map(_item, items)))


def model_set(name: str) -> ModelSet:
    """What "NAME:QUANT" or "NAME" stands for. Raises InvalidArgumentError."""
    kind, _, quant = name.partition(":")
    kinds = _table()["sets"]
    if kind not in kinds:
        raise InvalidArgumentError(f"{name}: no such name; there are {', '.join(kinds)}")
    quants = kinds[kind]["quants"]
    quant = quant.lower() or next(iter(quants))
    if quant not in quants:
        raise InvalidArgumentError(f"{name}: {kind} comes as {', '.join(quants)}")
    return next(known for known in model_sets() if known.name == f"{kind}:{quant}")


def expanded(paths: Sequence[StrPath]) -> list[StrPath]:
    """Paths and names as paths alone; what exists as a path is none of our names."""
    files: list[StrPath] = []
    for path in paths:
        if _is_name(path):
            files += model_set(str(path)).paths()
        else:
            files.append(path)
    return files


def split(paths: str) -> list[str]:
    """Of what is separated as in PATH, whose separator may stand within a name too."""
    pieces = paths.split(os.pathsep)
    joined: list[str] = []
    for piece in pieces:
        before = _table()["sets"].get(joined[-1]) if joined else None
        if before and piece.lower() in before["quants"] and not os.path.lexists(piece):
            joined[-1] += f":{piece}"
        else:
            joined.append(piece)
    return joined


def pull(
    name: str,
    *,
    begin: Callable[[Plan], object] | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> list[Path]:
    """Download a model and check all of it; returns the files and folders that make it.

    Only what is missing comes, and a download that was interrupted goes on where it stopped. Every
    file is compared with the checksum that the hub states for it, also one that was there before.

    begin: is called before anything is downloaded, with what it will take.
    progress: gets the stages "verify" and "download", `done` of `total` bytes.
    What either raises stops the work and reaches the caller unchanged.

    Raises InvalidArgumentError for an unknown name, an HF_ENDPOINT or a token that cannot be used,
    ModelError where the hub refuses a file or does not have it, and OSError where the network or
    the system fails, as when the disk is full.
    """
    from .download import pull as run

    wanted = model_set(name)
    run(wanted, begin, progress)
    return wanted.paths()


def cache() -> Path:
    """huggingface_hub's folder of downloads."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def storage(repository: str) -> Path:
    """What of a repository is there: blobs/, snapshots/COMMIT/FILE, refs/REVISION."""
    return cache() / f"models--{repository.replace('/', '--')}"


def named(reference: Path) -> str:
    """The commit that refs/REVISION stands for; "" if it cannot be told."""
    try:
        return reference.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _snapshots(repository: str, revision: str) -> Iterator[Path]:
    """Those of the repository, the one that the revision names first, then the newest first."""
    folder = storage(repository)
    commit = named(folder / "refs" / revision) or revision
    try:
        found = [(path.name == commit, path.stat().st_mtime, path)
                 for path in (folder / "snapshots").iterdir()]  # fmt: skip
    except OSError:
        return
    yield from (path for *_, path in sorted(found, reverse=True))


def _is_name(path: StrPath) -> bool:
    known = isinstance(path, str) and path.partition(":")[0] in _table()["sets"]
    return known and not os.path.lexists(path)


def _item(key: str) -> Item:
    table = _table()
    about = table["items"][key]
    repository = table["repositories"][about["repository"]]
    return Item(
        about["repository"],
        repository["revision"],
        tuple(about["files"]),
        tuple(about["parts"]),
        about["gb"],
        Licence(**table["licences"][repository["licence"]]),
    )


@functools.cache
def _table() -> dict[str, Any]:
    text = Path(__file__).with_name("weights.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table
