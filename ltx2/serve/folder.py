"""The files of a server, in one folder:

    video_<id>.mp4    the clips; others that ltx2 saved may be put beside them
    pictures/         first frames, by a hash of their pixels, which the clips' metadata name too
    jobs/             of videos under way: what is needed to go on, and a preview
    queue.sqlite      which videos were asked for: `store`

A name from a request is never part of a path: clips are found among the names that the folder has,
all others are made here.
"""

from __future__ import annotations

import json
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ltx2 import jobs, media, writer
from ltx2.errors import InvalidArgumentError
from ltx2.request import CRF, hash_of

from .asked import KINDS, Asked

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS_OF_CLIPS = {
    ".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif", ".webp": "image/webp",
    ".apng": "image/apng",
}  # fmt: skip
_HASH = re.compile(r"[0-9a-f]{64}")


class Folder:
    """It is made where it is missing. Any thread may use it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - links stay
        self._pictures, self._jobs = self.path / "pictures", self.path / "jobs"
        # By name: when a clip was written, its metadata, and what makes it again.
        self._read: dict[str, tuple[int, dict[str, Any], Asked | None]] = {}
        try:
            for folder in (self.path, self._pictures, self._jobs):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            words = f"{self.path}: cannot be used as a folder: {error.strerror}"
            raise InvalidArgumentError(words) from None
        writer.check(self.queue)

    @property
    def queue(self) -> Path:
        return self.path / "queue.sqlite"

    def clips(self) -> dict[str, float]:
        """The clips that are there, by name: when each was written. No link is followed."""
        clips: dict[str, float] = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if Path(entry.name).suffix.lower() not in KINDS_OF_CLIPS:
                    continue
                # One may be removed meanwhile, and a name may be no text.
                with suppress(FileNotFoundError, UnicodeEncodeError):
                    entry.name.encode()
                    if entry.is_file(follow_symlinks=False):
                        clips[entry.name] = entry.stat(follow_symlinks=False).st_mtime
        return clips

    def clip(self, name: str) -> Path | None:
        """Where a clip is, if it is there."""
        return self.path / name if name in self.clips() else None

    def about(self, name: str) -> tuple[dict[str, Any], Asked | None]:
        """What a clip says of itself, and what is to be asked for to have it once more; that is
        None where it was made from what is not here. Raises InvalidArgumentError."""
        path = self.path / name
        when = _written(path)
        if when is None:
            raise InvalidArgumentError(f"{name}: is no longer there")
        known = self._read.get(name)
        if known is None or known[0] != when:
            about = media.read_metadata(path)
            try:
                json.dumps(about, allow_nan=False, ensure_ascii=False).encode()  # as it is sent
            except (ValueError, RecursionError):
                raise InvalidArgumentError(f"{name}: what it says is no JSON") from None
            known = self._read[name] = when, about, self._again(path, about)
        return known[1:]

    def _again(self, path: Path, about: Mapping[str, Any]) -> Asked | None:
        images = about.get("images") or []
        with suppress(Exception):  # a file may say anything
            names = [entry["sha256"] for entry in images]
            kept = [found for found in map(self.picture, names) if found]
            request, _ = jobs.recipe(path, kept)
            first = [(image.frame, image.strength) for image in request.images] in ([], [(0, 1.0)])
            if first and request.crf in (None, CRF) and not request.given.keyframes:
                options = {k: v for k, v in request.options.items() if k in KINDS and v is not None}
                return Asked(request.prompt, options, names[0] if names else None)
        return None

    def keep_picture(self, data: bytes) -> tuple[str, bool]:
        """Its name from now on, and whether it was not there before. Raises InvalidArgumentError
        where it is none."""
        with writer.scratch(self._pictures / "picture") as given:
            given.write_bytes(data)
            try:
                pixels = media.read_image(given)
            except InvalidArgumentError as error:
                raise InvalidArgumentError(str(error).replace(str(given), "picture")) from None
        name = hash_of(pixels)
        is_new = self.picture(name) is None
        if is_new:
            with writer.new_file(self._pictures / f"{name}.png") as new:
                Image.fromarray(pixels).save(new, "png", compress_level=1)  # it is large anyway
        return name, is_new

    def picture(self, name: str) -> Path | None:
        path = self._pictures / f"{name}.png"
        return path if _HASH.fullmatch(name) and _written(path) is not None else None

    def pictures(self) -> list[str]:
        """The names of all that are kept."""
        return [path.stem for path in self._pictures.glob("*.png")]

    def drop_picture(self, name: str) -> None:
        _remove(self.picture(name))

    def job(self, name: str) -> Path:
        """Of the video of this id, for `Session.resume`."""
        return self._jobs / f"{name}.job"

    def preview(self, name: str) -> Path:
        return self._jobs / f"{name}.webp"

    def jobs(self) -> set[str]:
        """The ids of the videos of which something is left from their making."""
        return {path.stem for path in self._jobs.iterdir()}

    def set_job_aside(self, name: str) -> None:
        """One that is damaged; it is kept as long as its video is not finished."""
        self.job(name).replace(self._damaged(name))

    def _damaged(self, name: str) -> Path:
        return self._jobs / f"{name}.damaged"

    def drop_job(self, name: str) -> None:
        _remove(self.job(name))
        _remove(self._damaged(name))
        _remove(self.preview(name))

    def drop_clip(self, name: str) -> None:
        _remove(self.clip(name))
        self._read.pop(name, None)


def _written(path: Path) -> int | None:
    """When this file was; None where there is none, or a link."""
    with suppress(OSError):
        about = path.lstat()
        return about.st_mtime_ns if stat.S_ISREG(about.st_mode) else None
    return None


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)
