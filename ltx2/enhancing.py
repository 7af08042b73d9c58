"""Prompts that the text encoder enhances: how, and what comes of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from ._native import NOT_ZERO, assign, c_text, ffi, lib, string
from ._video_call import VideoCall, callback
from .errors import InvalidArgumentError
from .keywords import refuse_unknown


class Enhancing(TypedDict, total=False):
    """How a prompt is enhanced. Fields of ltx2_enhance_params."""

    instructions: str | None
    """What it is asked to do with the prompt; default: the library's own words."""
    of_image: bool | None
    """The video begins with a picture, whose looks are then left out; the picture itself is not
    looked at; default: of a video, whether it does."""
    seed: int | None
    """Same seed, same device, same prompt; default: the video's, else a random one."""
    temperature: float | None
    """How freely it writes; negative is off: always the likeliest token; default: 0.7. 0 is off
    too."""
    top_k: int | None
    """Of how many tokens each is drawn; default: 50."""
    tokens: int | None
    """At most; default: 512."""
    text: Callable[[str], object] | None
    """Receives the answer while it is written, as it is written."""


class Enhanced(str):
    """A prompt that `Session.enhance` wrote."""

    __slots__ = ("prompt",)
    prompt: str
    """What it was made from."""

    @classmethod
    def of(cls, text: str, prompt: str) -> Enhanced:
        enhanced = cls(text)
        enhanced.prompt = prompt
        return enhanced


def enhance(
    run: Callable[..., Any], prompt: str, options: Mapping[str, Any], call: VideoCall
) -> Enhanced:
    """What `call` answers, which `run` makes."""
    params, call.inputs = _params(prompt, options)
    call.text = options.get("text")
    params.text = on_text = callback("ltx2_text_fn", call.on_text)
    answer = run(lib.ltx2_session_enhance, params, call, ("char **", lib.ltx2_text_free))
    del on_text
    return Enhanced.of(string(answer), prompt)


def _params(prompt: str, options: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    """ltx2_enhance_params, and what they point at, to be kept as long."""
    refuse_unknown("Session.enhance", options, Enhancing.__annotations__)
    given = {name: value for name, value in options.items() if value is not None}
    given.setdefault("seed", secrets.randbits(32))
    params = ffi.new("ltx2_enhance_params *", {"size": ffi.sizeof("ltx2_enhance_params")})
    texts = {"prompt": prompt, "instructions": given.pop("instructions", None)}
    inputs = [c_text(name, text) for name, text in texts.items() if text is not None]
    for name, text in zip(texts, inputs, strict=False):
        setattr(params, name, text)
    for name in given.keys() - {"text"}:
        value = given[name]
        if value == 0 and name in ("top_k", "tokens"):
            raise InvalidArgumentError(NOT_ZERO.format(name))
        assign(params, name, -1 if name == "temperature" and value == 0 else value)
    return params, inputs
