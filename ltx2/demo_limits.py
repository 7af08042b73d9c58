"""What the demo model has never seen, said before it tries: it is a toy that knows a few words."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any

from .model_files import DEMO

if TYPE_CHECKING:
    from collections.abc import Mapping


@functools.cache
def _limits() -> dict[str, Any]:
    """`words` that it was trained on, in small letters; `sentences` that it draws well; and from
    where to where `sides` and `frames` may be for that, measured."""
    limits: dict[str, Any] = json.loads((DEMO / "limits.json").read_text(encoding="ascii"))
    return limits


def unknown_words(prompt: str) -> list[str]:
    """In the order of the prompt, each once."""
    known = frozenset(_limits()["words"])
    return [word for word in dict.fromkeys(re.findall(r"\w+", prompt.lower())) if word not in known]


def warnings(prompt: str, options: Mapping[str, Any]) -> list[str]:
    """A line for each thing that is asked of the demo model and that it cannot do."""
    limits, made = _limits(), []
    if strange := unknown_words(prompt):
        shown = ", ".join(strange[:8]) + (", ..." if len(strange) > 8 else "")
        sentences = " or ".join(f'"{sentence}"' for sentence in limits["sentences"])
        made.append(f"prompt: the demo model does not know {shown}; it draws such as {sentences}")
    sizes = {"width": "sides", "height": "sides", "frames": "frames"}
    for name, kind in sizes.items():
        low, high = limits[kind]
        if not low <= options[name] <= high:
            made.append(
                f"{name}: the demo model draws well from {low} to {high}; with {options[name]} it "
                "may not show what is asked for"
            )
    return made
