"""What is said of a run as it begins, and what its video keeps of how it was made."""

from __future__ import annotations

import logging
import os
import re
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from . import __version__
from .text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger("ltx2.run")
"""Has one line for each run, as it begins, at the level INFO."""


def variant(is_demo: bool, usual: Mapping[str, Any]) -> str:
    """What kind of model it is, by what it does where nothing else is asked for."""
    if is_demo:
        return "demo"
    return "distilled" if usual["schedule"] == "distilled" else "dev"


def about(**model: Any) -> dict[str, Any]:
    """For the metadata of a video: what made it, and when; or the time that SOURCE_DATE_EPOCH says,
    for files that are the same byte for byte.
    """
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(stated) if re.fullmatch("[0-9]{1,10}", stated) else time.time()
    date = datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
    return {**model, "version": __version__, "date": date}


def begin(model: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Say it: with which model, and what of, as far as `options` have that."""
    kind = f"{model['variant']} model " if "variant" in model else ""
    if kind and model["variant"] != "demo":
        kind = f"{model['generation']} {kind}"
    words = f"{kind}({model['model']}) on {model['device']}"
    if options:
        words += f": {_making(options, by_prompt='predicted_seconds' in model)}"
    elif "seed" in model:  # of a decode alone
        words += f": seed {model['seed']}"
    log.info("%s", visible(words))


def _making(options: Mapping[str, Any], by_prompt: bool) -> str:
    sound = " with sound" if options.get("audio") else ""
    recipe = options.get("recipe", "one-stage")
    staged = "" if recipe == "one-stage" else f", recipe {recipe}"
    if twice := options.get("temporal_upscalings"):
        more = 2**twice
        staged += f" to {(options['frames'] - 1) * more + 1} at {options['fps'] * more:g}"
    steps, guidance = options["steps"], options["guidance"]
    frames, fps = options["frames"], options["fps"]
    told = f" ({frames / fps:.1f} s, chosen by the duration head)" if by_prompt else ""
    return (
        f"{options['width']}x{options['height']}, {frames} frames at {fps:g} a second{told}"
        f"{sound}{staged}, {steps} step{'s' if steps > 1 else ''}, "
        f"{f'guidance {guidance:g}' if guidance > 1 else 'no guidance'}, seed {options['seed']}"
    )
