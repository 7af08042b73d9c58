"""A command on a terminal of our own."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest


class Ran(NamedTuple):
    code: int
    out: str
    seen: str  # on the terminal, which is stderr


def on_terminal(arguments: list[str], folder: Path, typed: str | None = None) -> Ran:
    """Run it; with `typed`, somebody sits at the terminal and writes that."""
    fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    stdin = subprocess.DEVNULL if typed is None else theirs
    with subprocess.Popen(
        arguments, cwd=folder, stdin=stdin, stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        if typed is not None:
            os.write(ours, typed.encode())
        seen = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says so when the other end has closed
                break
            if not part:
                break
            seen += part
        out, _ = process.communicate()
    os.close(ours)
    return Ran(process.returncode, out, seen.decode())
