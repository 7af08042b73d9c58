"""Pictures in a terminal, by the best of the means that it is known to have."""

from __future__ import annotations

import base64
import io
import os
import shutil
import sys
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ltx2.pictures import Pixels

_SHOWN = 4  # times as large, where a terminal shows pixels and not letters


def terminal_writer(
    stream: io.TextIOBase | None = None, environment: Mapping[str, str] = os.environ
) -> Callable[[Pixels], None] | None:
    """A function that shows the pictures of a preview in a row; None where that cannot be."""
    out = stream or sys.stderr
    encode = _means(environment)
    if encode is None or out is None or not out.isatty():
        return None

    def write(pictures: Pixels) -> None:
        columns = shutil.get_terminal_size().columns
        out.write(encode(_row(pictures, columns)) + "\n")
        out.flush()

    return write


def _means(environment: Mapping[str, str]) -> Callable[[Pixels], str] | None:
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if term == "dumb":
        return None
    if not ("TMUX" in environment or term.startswith("screen")):  # which keep pictures back
        if "KITTY_WINDOW_ID" in environment or term in ("xterm-kitty", "xterm-ghostty"):
            return _kitty
        if program in ("iTerm.app", "WezTerm", "mintty"):
            return _iterm
        if term.startswith(("foot", "mlterm", "contour")) or "sixel" in term:
            return _sixel
    return _blocks if environment.get("COLORTERM") in ("truecolor", "24bit") else None


def _row(pictures: Pixels, columns: int) -> Pixels:
    """As many of them as fit beside each other, first and last among them, a cell as a pixel.

    One that is wider than the terminal is made smaller.
    """
    from ltx2.preview import CELL

    height, width = (side // CELL for side in pictures.shape[1:3])
    shown = max(1, min(len(pictures), (columns + 1) // (width + 1)))
    chosen = pictures[np.linspace(0, len(pictures) - 1, shown).round().astype(int)]
    size = (min(width, columns), max(1, height * min(width, columns) // width))
    small = [np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BOX)) for p in chosen]
    return np.concatenate(small, 1)


def _png(picture: Pixels) -> bytes:
    file = io.BytesIO()
    height, width, _ = picture.shape
    Image.fromarray(picture).resize((width * _SHOWN, height * _SHOWN)).save(file, "png")
    return base64.standard_b64encode(file.getvalue())


def _kitty(picture: Pixels) -> str:
    data = _png(picture)
    parts = [data[i : i + 4096].decode() for i in range(0, len(data), 4096)]
    commands = ["a=T,f=100,q=2,"] + [""] * (len(parts) - 1)
    more = [1] * (len(parts) - 1) + [0]
    return "".join(
        f"\x1b_G{command}m={m};{part}\x1b\\"
        for command, m, part in zip(commands, more, parts, strict=True)
    )


def _iterm(picture: Pixels) -> str:
    return f"\x1b]1337;File=inline=1:{_png(picture).decode()}\x07"


def _sixel(picture: Pixels) -> str:
    """64 colours, six rows of pixels at a time, for each colour the pixels that have it."""
    height, width, _ = picture.shape
    large = Image.fromarray(picture).resize((width * _SHOWN, height * _SHOWN // 6 * 6 + 6))
    reduced = large.quantize(64)
    palette = np.reshape(reduced.getpalette() or [], (-1, 3)) * 100 // 255
    out = ["\x1bPq"]
    out += [f"#{i};2;{red};{green};{blue}" for i, (red, green, blue) in enumerate(palette)]
    for band in np.asarray(reduced).reshape(-1, 6, large.width):
        for colour in np.unique(band):
            bits = ((band == colour) << np.arange(6)[:, None]).sum(0)
            out.append(f"#{colour}" + (bits + 63).astype(np.uint8).tobytes().decode() + "$")
        out.append("-")
    return "".join(out) + "\x1b\\"


def _blocks(picture: Pixels) -> str:
    """Upper half blocks: their colour is one pixel, their background the one below."""
    if len(picture) % 2:
        picture = np.concatenate([picture, picture[-1:]])
    lines = []
    for upper, lower in zip(picture[::2], picture[1::2], strict=True):
        cells = (
            "\x1b[38;2;{};{};{};48;2;{};{};{}m\u2580".format(*a, *b)
            for a, b in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)
