"""What a request says, as the arguments of Session: the fields of `Options`, and OpenAI's."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ltx2.clips import nearest_count
from ltx2.errors import InvalidArgumentError
from ltx2.request import Options, kind_of, lists_frames

if TYPE_CHECKING:
    from collections.abc import Mapping

# Beside Options, whose `noise` is an array: no one types it.
_OPENAI = {"model", "prompt", "seconds", "size", "input_reference"}


@dataclass(frozen=True)
class Asked:
    """A video, as it is asked for."""

    prompt: str
    options: dict[str, Any]
    """By the names of `Options`."""
    picture: str | None = None
    """The name that `Folder.keep_picture` gave the first frame."""


KINDS = {name: kind_of(name) for name in Options.__annotations__ if name != "noise"}


def asked(fields: Mapping[str, Any], picture: str | None, model: str, fps: float) -> Asked:
    """From the fields of a JSON object, or of a form, where all are text.

    `model` is the one that is served, `fps` its own rate. Raises InvalidArgumentError.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    if unknown := sorted(given.keys() - KINDS.keys() - _OPENAI):
        known = ", ".join(sorted(KINDS.keys() | _OPENAI))
        raise InvalidArgumentError(f"{unknown[0]}: is no field; there are {known}")
    prompt = given.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidArgumentError("prompt: is missing")
    if given.get("model", model) != model:
        raise InvalidArgumentError(f"model: {given['model']!r} is not served here; {model!r} is")
    options = {name: _value(name, value) for name, value in given.items() if name in KINDS}
    options |= _size(given.get("size"))
    if "seconds" in given:
        options["frames"] = _frames(given["seconds"], options.get("fps") or fps)
    options.setdefault("seed", secrets.randbits(32))
    return Asked(prompt, options, picture)


def _value(name: str, value: Any) -> Any:
    wanted = KINDS[name]
    if lists_frames(name, value):
        return value
    if wanted is bool and value in ("true", "false"):
        return value == "true"
    if isinstance(value, str) and wanted in (int, float):
        try:
            return wanted(value)
        except ValueError:
            raise InvalidArgumentError(f"{name}: {value!r} is no number") from None
    fits = isinstance(value, (int, float) if wanted is float else wanted)
    if not fits or isinstance(value, bool) is not (wanted is bool):
        words = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
        raise InvalidArgumentError(f"{name}: {value!r} is not {words[wanted]}")
    return value


def _size(size: Any) -> dict[str, int]:
    if size is None:
        return {}
    match = re.fullmatch(r"([0-9]{1,6})[x×]([0-9]{1,6})", size) if isinstance(size, str) else None
    if match is None:
        raise InvalidArgumentError(f"size: {size!r} is not WIDTHxHEIGHT, such as 768x512")
    return {"width": int(match[1]), "height": int(match[2])}


def _frames(seconds: Any, fps: float) -> int:
    try:
        number = float(str(seconds))  # neither true, which is 1 to Python, nor a list
        count = nearest_count(number * fps)
    except (ValueError, OverflowError):
        raise InvalidArgumentError(f"seconds: {seconds!r} is no number") from None
    if number <= 0:
        raise InvalidArgumentError(f"seconds: {seconds!r} is not above 0")
    return count


def picture_bytes(reference: Any) -> bytes | str | None:
    """Of `input_reference` in JSON: a picture in a data URL, or the name of one that is kept.

    An address elsewhere is refused: the server opens no connection.
    """
    if reference is None:
        return None
    if isinstance(reference, dict) and isinstance(reference.get("file_id"), str):
        return str(reference["file_id"])
    url = reference.get("image_url") if isinstance(reference, dict) else None
    match = re.match(r"data:image/[a-z0-9.+-]+;base64,", url) if isinstance(url, str) else None
    if match is None or url is None:
        raise InvalidArgumentError(
            'input_reference: is neither {"image_url": "data:image/…;base64,…"} nor '
            '{"file_id": "…"}'
        )
    try:
        return base64.b64decode(url[match.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgumentError("input_reference: its base64 is damaged") from None
