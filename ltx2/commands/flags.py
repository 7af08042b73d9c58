"""The flags of commands: fields of `Options` and of C's structs, with the header's words."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

import ltx2
from ltx2._native import sentences
from ltx2.request import kind_of

from .terminal import Said, json_flag, parse_loras

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ltx2.model_files import StrPath

_KNOWN = ltx2.capabilities()
_OPENING = sentences("ltx2_session_params")
_MAKING = sentences("ltx2_video_params")
KEYFRAMES = _MAKING["keyframes"]
OUTPUTS = (
    ".mp4, .webm, .mkv, .mov, .gif, .webp, .apng, .png (a folder of frames, frames/%04d.png too; "
    "of one frame a picture, as .jpg), .npy, or .wav (the sound)."
)


class FileName(click.Path):
    """Of a file or folder: not empty, which would stand for none."""

    def convert(self, value: Any, parameter: Any, context: Any) -> Any:
        if not value:
            self.fail("names no file", parameter, context)
        return super().convert(value, parameter, context)


def as_rate(_context: Any, _parameter: Any, text: str | None) -> float | None:
    """Frames per second: 24, 23.976, 24000/1001."""
    if text is None:
        return None
    try:
        rate = float(Fraction(text) if "/" in text else text)
    except (ValueError, ZeroDivisionError, OverflowError):
        rate = math.nan
    if not math.isfinite(rate):
        raise click.BadParameter(f"{text} is no rate such as 24 or 24000/1001")
    return rate


def _device(_context: Any, _parameter: Any, name: str | None) -> str | None:
    """As it is spelled here, whatever its case; as it is where it may be another machine's."""
    if name is None:
        return None
    known = ["auto", *ltx2.devices()]
    return next((device for device in known if device.lower() == name.lower()), name)


def as_loras(_context: Any, _parameter: Any, given: Sequence[str]) -> dict[StrPath, float]:
    """FILE[:STRENGTH], each."""
    return parse_loras(given)


def _speech(context: click.Context, parameter: Any, given: bool) -> None:
    setattr(context.ensure_object(Said), parameter.name, given)


def _seed(_context: Any, _parameter: Any, text: str | None) -> int | None:
    try:
        return None if text is None or int(text) == -1 else int(text)
    except ValueError:
        raise click.BadParameter(f"{text} is no whole number") from None


def _seconds(_context: Any, _parameter: Any, text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d*\.?\d+) *s?", text)
    if not match or not 0 < float(match[1]) < 1e6:
        raise click.BadParameter(f"{text} is no duration such as 5s")
    return float(match[1])


_READ: dict[str, Any] = {
    "fps": {"callback": as_rate, "metavar": "RATE"},
    "seed": {"callback": _seed, "metavar": "INTEGER"},
}


def field(name: str) -> Callable[[Any], Any]:
    """The option for a field of `Options`, with the header's words."""
    if name == "audio":
        words = "Make the video alone, which is another one than with its sound."
        return click.option("--no-audio", "audio", flag_value=False, default=None, help=words)
    given: Any = str if name in _READ else kind_of(name)
    if name == "noise":
        given = FileName(dir_okay=False)
    elif name in ("schedule", "sampler", "recipe"):
        given = click.Choice(_KNOWN[f"{name}s"])
    words = _MAKING[name]
    if name == "seed":
        words += " Default, and -1: a random one, which is printed."
    flag = "--" + name.replace("_", "-")
    return click.option(flag, name, type=given, help=words, **_READ.get(name, {}))


def applied(options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A decorator that adds options in this order."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


yes_flag = click.option("-y", "--yes", is_flag=True, help="Replace files without asking.")
output_flag = applied([
    click.option("-o", "--output", metavar="FILE", type=FileName(),
                 help=f"{OUTPUTS} Default: a new .mp4 here, called after the prompt and the seed; "
                 "in FILE if that is a folder."),
    yes_flag,
])  # fmt: skip
OPENING = ("model", "device", "threads", "low_memory", "loras")
speaking = applied([
    json_flag,
    click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=_speech,
                 help="Print warnings and errors alone on stderr."),
    click.option("-v", "--verbose", is_flag=True, expose_value=False, callback=_speech,
                 help="Print more on stderr, as how long each stage took."),
])  # fmt: skip
opening_flags = applied([
    click.option("--model", multiple=True, metavar="PATH", type=FileName(),
                 help=_OPENING["files"] + " Give it once per PATH. Default: $LTX2_MODEL, else the "
                 "demo model."),
    click.option("--device", callback=_device,
                 help=_OPENING["device"] + " `ltx2 devices` lists them."),
    click.option("--threads", type=int, default=0, help=_OPENING["threads"]),
    click.option("--low-memory", is_flag=True, help=_OPENING["low_memory"]),
    click.option("--lora", "loras", multiple=True, metavar="FILE[:STRENGTH]", callback=as_loras,
                 help=_OPENING["loras"] + " Give it once per FILE."),
    speaking,
])  # fmt: skip
shared = applied([output_flag, opening_flags])
fields = applied([*map(field, ltx2.Options.__annotations__)])
crf_flag = click.option(
    "--crf", type=int,
    help="How strongly an image is compressed before use; 0 not at all. Default: the model's own, "
    "33, of LTX-2.5 18.",
)  # fmt: skip
profile_flag = click.option(
    "--profile", metavar="FILE", type=FileName(dir_okay=False),
    help="Write there, as .json, what took how long, down to the kernels; ui.perfetto.dev opens "
    "it.",
)  # fmt: skip
watching = applied([
    click.option("--save-latents", "--latents", "latents", metavar="FILE",
                 type=FileName(dir_okay=False),
                 help="Also write the final latents there, .npy, before they are decoded."),
    click.option("--preview", metavar="FILE", type=FileName(dir_okay=False, allow_dash=True),
                 help="Draw a small picture of the clip after each step: .png (a sheet), .gif or "
                 ".webp; it is shown in the terminal too, and only there where FILE is -."),
    profile_flag,
])  # fmt: skip
keeping = click.option(
    "--job", metavar="FILE", type=FileName(dir_okay=False),
    help="Save there, after each step, what is needed to go on: `ltx2 resume FILE` does. It is "
    "removed when the video is saved.",
)  # fmt: skip
features_flag = click.option(
    "--features", metavar="FILE", type=FileName(dir_okay=False),
    help="The encoded prompt, from `ltx2 encode`, in place of PROMPT.",
)  # fmt: skip
enhancing = applied([
    click.option("--enhance", is_flag=True,
                 help="Let the text encoder write more words first, in minutes; they are printed."),
    click.option("--enhance-instructions", metavar="FILE", type=FileName(dir_okay=False),
                 help="Enhance the prompt, as this text asks for in place of the library's own."),
])  # fmt: skip
prompts_flag = click.option(
    "--prompts", metavar="FILE", type=FileName(allow_dash=True),
    help="Make a clip of each line of FILE: a prompt, or a JSON object with \"prompt\" and options "
    "by their names. One that fails does not keep the others back. - is stdin.",
)  # fmt: skip
duration_flag = click.option(
    "--duration", metavar="SECONDS", callback=_seconds,
    help="How long it lasts, as 5s, in place of --frames: the nearest that can be made.",
)  # fmt: skip
generation = applied([features_flag, fields, duration_flag, watching, keeping, shared])
