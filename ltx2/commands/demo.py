"""The command for the first minute: a clip of the demo model, shown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Any

import click

from ltx2.model_files import demo_files

from .flags import field, output_flag, speaking
from .making import make_video


@click.command()
@click.argument("prompt", required=False)
@field("seed")
@click.option("--no-open", "opens", flag_value=False, default=True,
              help="Do not open it where there is a desktop.")  # fmt: skip
@output_flag
@speaking
def demo(prompt: str | None, opens: bool, **options: Any) -> None:
    """Make a clip with the demo model of this package, of PROMPT or its own, and open it."""
    from ltx2.doctor import PROMPT

    text = prompt or PROMPT
    options |= {
        "model": demo_files(), "device": None, "threads": 0, "low_memory": False, "loras": {},
        "audio": None,
    }  # fmt: skip
    path = make_video(lambda session, wanted: session.t2v(text, **wanted), options, text)
    if opens:
        _open(os.path.abspath(path))  # noqa: PTH100 - links stay


def _open(path: str) -> None:
    """As a double click would, where there is a desktop; it goes on without us and our streams."""
    if sys.platform == "win32":
        os.startfile(path)
        return
    name = "open" if sys.platform == "darwin" else "xdg-open"
    shown = name == "open" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if shown and (program := shutil.which(name)):
        none = subprocess.DEVNULL
        subprocess.Popen(
            [program, path], stdin=none, stdout=none, stderr=none, start_new_session=True
        )
