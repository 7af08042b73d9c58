"""Words from outside, made safe to show.

Names, paths, metadata, prompts and other programs' messages may hold anything. Shown as they are,
a newline would forge a line of a log, an escape sequence would drive the terminal, and a
bidirectional override would let a name read as another. What is meant for a person passes `visible`
where it goes out: `Error`, the logger `ltx2`, and all that the command prints.
"""

from __future__ import annotations

import json
from typing import Any


def visible(text: str) -> str:
    """One line of printable text: every other character stands there as its escape, \\x1b, \\u202e.

    Printable is what Unicode calls so: no control, format, private or unassigned character, no
    surrogate, and no separator but the space.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def json_line(value: Any) -> str:
    """JSON as one line of printable ASCII; nothing is lost."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def plain(value: Any) -> Any:
    """For json.dumps, of what JSON has not: NumPy's numbers as Python's, else the text of it."""
    return value.item() if hasattr(value, "item") else str(value)
