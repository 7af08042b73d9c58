"""A video as the interface shows it: OpenAI's fields, and what there is beyond them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltx2.errors import InvalidArgumentError

from .folder import KINDS_OF_CLIPS
from .store import DONE, MAKING, WAITING

if TYPE_CHECKING:
    from .asked import Asked
    from .folder import Folder
    from .maker import Running
    from .store import Entry


_SIZE = ("width", "height", "frames", "fps")
_MOST_EXACT = 2**53 - 1  # of whole numbers, to a browser that reads JSON


def shown(entry: Entry, folder: Folder, running: Running | None, model: str) -> dict[str, Any]:
    asked: Asked | None = entry.asked
    about: dict[str, Any] = {**entry.asked.options, **entry.plan}  # which has what becomes of them
    if entry.plan.get("frames_assumed"):  # the duration head will tell
        about["frames"] = None
    if entry.status == DONE:  # its file has the last word
        about, asked = {}, None
        with suppress(InvalidArgumentError):
            about, asked = folder.about(entry.file)
    made = {name: about.get(f"made_{name}", about.get(name)) for name in _SIZE}
    width, height, frames, fps = map(_number, made.values())
    return {
        "id": entry.id,
        "object": "video",
        "status": entry.status,
        "created_at": int(entry.created_at),
        "completed_at": entry.completed_at and int(entry.completed_at),
        "expires_at": None,
        "model": about.get("model", model),
        "prompt": str(about.get("prompt", entry.asked.prompt)),
        "size": f"{width}x{height}" if width and height else None,
        "seconds": f"{frames / fps:.3g}" if frames and fps else None,
        "error": entry.error,
        "remixed_from_video_id": None,
        **_progress(entry, running),
        # Beyond OpenAI's.
        "seed": _exact(_number(about.get("seed"))),
        "frames": frames,
        "fps": fps,
        "file": entry.file,
        "type": KINDS_OF_CLIPS[Path(entry.file).suffix.lower()],
        "metadata": about if entry.status == DONE else None,
        "again": asked and _again(asked),
        "preview": None if entry.status == DONE else _preview(entry, folder),
    }


def _number(value: Any) -> int | float | None:
    """A file may say anything, also what is too large to divide by."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        with suppress(OverflowError):
            float(value)
            return value
    return None


def _again(asked: Asked) -> dict[str, Any]:
    """What makes it once more, as it is asked for."""
    reference = {"input_reference": {"file_id": asked.picture}} if asked.picture else {}
    options = {name: _exact(value) for name, value in asked.options.items()}
    return {"prompt": asked.prompt, **options, **reference}


def _exact(value: Any) -> Any:
    """As text where it is a larger whole number, as a seed may be: else it would be rounded there,
    and make another video."""
    return str(value) if isinstance(value, int) and abs(value) > _MOST_EXACT else value


def _progress(entry: Entry, running: Running | None) -> dict[str, Any]:
    about: dict[str, Any] = {"progress": 100 if entry.status == DONE else 0}
    about |= {"stage": None, "step": None, "steps": None, "seconds_left": None}
    if entry.status == MAKING and running and running.entry.id == entry.id:
        about |= {"progress": int(100 * running.fraction), "seconds_left": running.seconds_left}
        if now := running.progress:
            about |= {"stage": now.stage, "step": now.done, "steps": now.total}
    elif entry.status in WAITING:
        about["seconds_left"] = entry.plan.get("seconds")
    return about


def _preview(entry: Entry, folder: Folder) -> str | None:
    """Where it is; another address for each, so that none is shown late."""
    try:
        when = folder.preview(entry.id).stat().st_mtime_ns
    except OSError:
        return None
    return f"/v1/videos/{entry.id}/preview?{when}"
