"""The commands about what is kept: encode a prompt, resume a job, replay a clip."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from ltx2 import media
from ltx2.jobs import Job, recipe

from .flags import (
    OPENING,
    FileName,
    field,
    keeping,
    opening_flags,
    output_flag,
    watching,
    yes_flag,
)
from .making import make_video, opened
from .outputs import check_file
from .terminal import ProgressLine, answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ltx2.request import Request


@click.command()
@click.argument("job")
@click.option("-o", "--output", metavar="FILE", type=FileName(),
              help="Default: the JOB's own, if nothing is there.")  # fmt: skip
@yes_flag
@watching
@opening_flags
def resume(job: str, output: str | None, **options: Any) -> None:
    """Finish JOB, a file that `--job` wrote.

    It runs the job's own model and adapters unless `--model` and `--lora` say where these are now.
    JOB is removed when the video is saved.
    """
    begun = Job.load(job)
    if output is None and begun.output is None:
        raise click.UsageError("the job does not say where to save the video; give -o")
    if output is None and os.path.lexists(media.target_of(begun.output or "")):
        raise click.UsageError(f"{begun.output} is there already; -o {begun.output} replaces it")
    options["output"] = output or begun.output
    options["model"] = options["model"] or begun.model
    options["loras"] = options["loras"] or begun.loras
    make_video(
        lambda session, wanted: session.resume(**wanted),
        options,
        _called(begun.request),
        begun.request.options,
        resumed=job,
    )


@click.command()
@click.argument("video")
@click.argument("images", nargs=-1)
@output_flag
@watching
@keeping
@opening_flags
def replay(video: str, images: Sequence[str], **options: Any) -> None:
    """Make the clip of VIDEO again, from what its metadata says.

    VIDEO is a file that ltx2 saved, but for .npy and .wav, or a folder of .png. A clip that passes
    through pictures needs the same IMAGES once more.
    """
    request, _ = recipe(video, images)
    make_video(
        lambda session, wanted: session.replay(video, images, **wanted),
        options,
        _called(request),
        request.options,
    )


def _called(request: Request) -> str:
    """What its clip is called after."""
    return f"{request.prompt} {request.options['seed']}"


@click.command()
@click.argument("prompt")
@click.option("-o", "--output", required=True, metavar="FILE", type=FileName(),
              help="The file of features to write.")  # fmt: skip
@yes_flag
@field("negative_prompt")
@field("schedule")
@field("guidance")
@opening_flags
def encode(prompt: str, **options: Any) -> None:
    """Encode PROMPT once, so that t2v and i2v with --features need no text encoder.

    The options are those of the video: where guidance is on, the negative prompt is encoded too.
    """
    output, as_json = options.pop("output"), options.pop("as_json")
    opening = {name: options.pop(name) for name in OPENING}
    check_file(output, yes=options.pop("yes"))
    with opened(opening) as session, closing(ProgressLine()) as line:
        features = session.encode(prompt, progress=line.show, **options)
    features.save(output)
    about = {"prompt": features.prompt, "negative_prompt": features.negative_prompt}
    answer(output, about, as_json)
