"""The command that serves a session over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ltx2 import runs
from ltx2.text import json_line

from .flags import FileName, opening_flags
from .making import opened

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at; 0.0.0.0 is all of this machine's.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8188,
    show_default=True,
    help="0 is any that is free.",
)
@click.option(
    "--folder",
    type=FileName(file_okay=False),
    default="ltx2-videos",
    show_default=True,
    help="Where clips and the queue are kept; made if missing.",
)
@click.option(
    "--token",
    envvar="LTX2_TOKEN",
    show_envvar=True,
    help="What a request has to bring; default: none, or a random one where other "
    "machines can connect or --allow-host is given.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="A name that this machine is asked by, as behind a proxy. Give it once per NAME.",
)
@click.option(
    "--no-preview",
    "previews",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Draw no pictures on the way, for which the model needs a video encoder.",
)
@opening_flags
def serve(
    host: str, port: int, folder: str, token: str | None, names: Sequence[str], previews: bool,
    as_json: bool, **opening: Any,
) -> None:  # fmt: skip
    """Make videos for a page in the browser, and for programs over HTTP.

    Prints the address, and works until Ctrl-C. What is not finished then goes on with the next
    start.
    """
    try:
        from ltx2.serve.server import running, wait
    except ModuleNotFoundError as error:
        words = f"serve: {error.name} is missing; pip install 'ltx2[serve]' brings it"
        raise click.ClickException(words) from None
    with running(
        lambda: opened(opening), folder, host, port, token=token, names=names, previews=previews
    ) as (address, thread):
        click.echo(json_line({"address": address, "folder": folder}) if as_json else address)
        runs.log.info("serving; Ctrl-C ends it, and what is under way goes on with the next start")
        wait(thread)
