"""The commands that take a video: upscale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .generate import load_array, make_video, opening_flags, output_flag

if TYPE_CHECKING:
    import ltx2


@click.command()
@click.argument("video", metavar="VIDEO")
@click.option("--fps", type=float, help="Frames per second; default: the video's own rate.")
@output_flag
@opening_flags
def upscale(video: str, **options: Any) -> None:
    """Make VIDEO larger with a latent upsampler, which is one of the model's files.

    VIDEO is a file, a folder of .png, or a .npy that `--save-latents` wrote, which loses nothing on
    the way. Width and height are cut to multiples of 32, frames to 8k + 1.
    """
    source = load_array("video", video) if video.endswith(".npy") else video

    def make(session: ltx2.Session, wanted: dict[str, Any]) -> ltx2.Video:
        return session.upscale(source, **wanted)

    make_video(make, options)
