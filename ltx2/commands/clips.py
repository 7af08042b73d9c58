"""The commands that take a video or a sound: v2v, a2v, retake, extend, upscale."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import ltx2
from ltx2 import sound as sounds

from .flags import (
    FileName,
    applied,
    as_rate,
    crf_flag,
    field,
    generation,
    opening_flags,
    output_flag,
    profile_flag,
    watching,
)
from .generate import chosen_images, prompt_or_features
from .making import MAYBE_ONE, load_latents, make_video

if TYPE_CHECKING:
    from collections.abc import Sequence

_images = click.option(
    "--image", "images", multiple=True, metavar="IMAGE[@FRAME[:STRENGTH]]",
    help="A picture that the video passes through, as in i2v. Repeatable.",
)  # fmt: skip
_sound = click.option(
    "--sound", metavar="FILE", type=FileName(), help="Its sound; default: that of VIDEO."
)
_sampling = applied(
    [field(name) for name in ltx2.Options.__annotations__
     if name not in ("width", "height", "frames", "noise", "recipe")]
)  # fmt: skip


@click.command()
@click.argument("prompt", required=False)
@click.argument("references", nargs=-1, metavar="VIDEO...")
@click.option("--strength", type=float, default=1.0, show_default=True,
              help="Of the references, above 0, up to 1.")  # fmt: skip
@click.option("--attention", type=float, default=1.0, show_default=True,
              help="How strongly video and references look at each other.")  # fmt: skip
@_images
@crf_flag
@generation
def v2v(
    prompt: str | None,
    references: Sequence[str],
    strength: float,
    attention: float,
    images: Sequence[str],
    crf: int | None,
    features: str | None,
    **options: Any,
) -> None:
    """Make a video from PROMPT and reference VIDEOs, as an IC-LoRA (--lora) has learnt to."""
    if features and prompt is not None:  # then videos are all there is
        references, prompt = [prompt, *references], None
    text = prompt_or_features(prompt, features)
    if not references:
        raise click.UsageError("Missing argument 'VIDEO...'.")
    rows = [ltx2.Reference(video, strength, attention) for video in references]
    pictures = chosen_images(images)
    make_video(
        lambda session, wanted: session.v2v(text, rows, images=pictures, crf=crf, **wanted),
        options,
        text,
        MAYBE_ONE,
    )


@click.command()
@click.argument("prompt", required=False)
@click.argument("sound", required=False, metavar="SOUND")
@_images
@crf_flag
@generation
def a2v(
    prompt: str | None,
    sound: str | None,
    images: Sequence[str],
    crf: int | None,
    features: str | None,
    **options: Any,
) -> None:
    """Make a video from PROMPT to SOUND, a file, which it keeps as it is."""
    if features and sound is None:  # then a sound is all there is
        sound, prompt = prompt, None
    text = prompt_or_features(prompt, features)
    if sound is None:
        raise click.UsageError("Missing argument 'SOUND'.")
    heard = sound
    pictures = chosen_images(images)
    make_video(
        lambda session, wanted: session.a2v(text, heard, images=pictures, crf=crf, **wanted),
        options,
        text,
        MAYBE_ONE,
    )


def _span(_context: Any, _parameter: Any, text: str) -> tuple[float, float]:
    match = re.fullmatch(r"(\d*\.?\d+)-(\d*\.?\d+)", text)
    if not match or float(match[1]) >= float(match[2]):
        raise click.BadParameter(f"{text} is not START-END, in seconds, as 1.5-3")
    return float(match[1]), float(match[2])


@click.command()
@click.argument("prompt")
@click.argument("video", metavar="VIDEO")
@click.argument("span", metavar="START-END", callback=_span)
@click.option("--what", type=click.Choice(["both", "video", "audio"]), default="both",
              show_default=True, help="What of it is made anew.")  # fmt: skip
@click.option("--no-splice", "splice", flag_value=False, default=True,
              help="Leave all frames as the model makes them.")  # fmt: skip
@_sound
@_sampling
@watching
@output_flag
@opening_flags
def retake(
    prompt: str, video: str, span: tuple[float, float], sound: str | None, **options: Any
) -> None:
    """Make the seconds from START to END of VIDEO anew, by PROMPT."""
    make_video(
        lambda session, wanted: session.retake(prompt, video, *span, sound=sound, **wanted),
        options,
        prompt,
        MAYBE_ONE,
    )


@click.command()
@click.argument("prompt")
@click.argument("video", metavar="VIDEO")
@click.argument("more", metavar="FRAMES", type=int)
@click.option("--before", is_flag=True, help="Before it; default: after it.")
@click.option("--context", type=int, default=49, show_default=True,
              help="How many frames of it the new ones go on from, 8k + 1.")  # fmt: skip
@_sound
@field("frames")
@_sampling
@profile_flag
@output_flag
@opening_flags
def extend(prompt: str, video: str, more: int, sound: str | None, **options: Any) -> None:
    """Add FRAMES, a multiple of 8, to VIDEO by PROMPT.

    Many are made piece by piece; --frames is how long a piece is, with the context.
    """
    make_video(
        lambda session, wanted: session.extend(prompt, video, more, sound=sound, **wanted),
        options,
        prompt,
    )


@click.command()
@click.argument("video", metavar="VIDEO")
@click.option(
    "--fps",
    callback=as_rate,
    metavar="RATE",
    help="Frames per second; default: the video's own rate.",
)
@output_flag
@opening_flags
def upscale(video: str, **options: Any) -> None:
    """Make VIDEO larger with a latent upsampler, which is one of the model's files.

    VIDEO is a file, a folder of .png, or a .npy that `--save-latents` wrote, which loses nothing on
    the way. Width and height are cut to multiples of 32, frames to 8k + 1.
    """
    source: Any = video
    size = dict(MAYBE_ONE)
    if video.endswith(".npy"):
        source = load_latents(video, options["fps"])
        size["audio"] = False
    elif (options["output"] or "").lower().endswith(".wav"):
        size["audio"] = sounds.find(video, seconds=1) is not None

    def make(session: ltx2.Session, wanted: dict[str, Any]) -> ltx2.Video:
        return session.upscale(source, **wanted)

    make_video(make, options, f"{Path(video).stem} large", size, planned=False)
