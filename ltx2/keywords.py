"""The keyword parameters of the calls: what help() says of them, and what a wrong one was meant as.

They stand in each signature, for that is all an editor reads; tests hold the copies equal.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import textwrap
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ._native import sentences
from .text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

F = TypeVar("F", bound="Callable[..., Any]")

DIFFUSERS = {
    "callback_on_step_end": "`progress` or `preview`",
    "conditions": "`image` of i2v, {frame: picture}",
    "enable_prompt_enhancement": "`enhance`",
    "frame_rate": "`fps`",
    "generator": "`seed`, a number",
    "guidance_rescale": "`rescale`",
    "guidance_scale": "`guidance`",
    "audio_guidance_scale": "`audio_guidance`",
    "image": "the second argument of i2v",
    "modality_scale": "`modality_guidance`",
    "num_frames": "`frames`",
    "num_inference_steps": "`steps`",
    "num_videos_per_prompt": "a call for each `seed`",
    "output_type": "`Video.frames` or `Video.images()`",
    "prompt_embeds": "what `encode` makes, in place of the prompt",
    "sigmas": "`schedule`, a name",
    "stg_scale": "`stg`",
    "strength": "a part of `image`: (picture, strength)",
    "timesteps": "`schedule`, a name",
    "video": "the second argument of v2v, retake and extend",
}
"""What diffusers calls its parameters, and what takes their place here."""


def chosen(arguments: Mapping[str, Any], options: type) -> dict[str, Any]:
    """Those of a call's arguments that are among these options and not left to their default."""
    names = options.__annotations__
    return {name: arguments[name] for name in names if arguments.get(name) is not None}


def is_whole(value: object) -> bool:
    """Whether it is a whole number, as Python's or NumPy's."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def refuse_unknown(call: str, given: Collection[str], known: Collection[str]) -> None:
    """Raise TypeError for the first name that `call` has not, with what it was meant as."""
    for name in given:
        if name in known:
            continue
        words = f"help(ltx2.{call}) lists what there is"
        if name in DIFFUSERS:
            words = f"diffusers' {name} is {DIFFUSERS[name]} here"
        elif close := difflib.get_close_matches(name, known, 1):
            words = f"did you mean {close[0]}?"
        raise TypeError(f"{call}: there is no {visible(name)}; {words}")


def checked(function: F) -> F:
    """A call that says what a wrong keyword was meant as."""
    known = inspect.signature(function).parameters.keys()
    name = "Session" if function.__name__ == "__init__" else f"Session.{function.__name__}"

    @functools.wraps(function)
    def call(*arguments: Any, **given: Any) -> Any:
        refuse_unknown(name, given, known)
        return function(*arguments, **given)

    return cast("F", call)


def described(options: type, struct: str) -> Callable[[F], F]:
    """As `checked`, of a call that has these options; help() says of them what the header does."""
    words = sentences(struct)
    about = "\n".join(
        textwrap.fill(f"{name}: {words[name]}", 92, subsequent_indent=" " * 8)
        for name in options.__annotations__
        if name in words
    )

    def decorated(function: F) -> F:
        text = inspect.cleandoc(function.__doc__ or "")
        function.__doc__ = f"{text}\n\nOptions; each left out, or None, is its default:\n\n{about}"
        return checked(function)

    return decorated
