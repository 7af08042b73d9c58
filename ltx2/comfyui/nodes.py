"""Two nodes for ComfyUI: a model is loaded, a clip is made.

ComfyUI's values: IMAGE is float32 [pictures, height, width, 3] in 0..1, AUDIO {"waveform": float32
[1, channels, samples], "sample_rate"}; a clip without sound has None. Its modules and PyTorch are
imported where a node works: this package needs neither.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

import ltx2
from ltx2._native import sentences
from ltx2.commands.terminal import parse_loras

if TYPE_CHECKING:
    from collections.abc import Callable

SESSION = "LTX2_SESSION"  # the type of what the first node gives to the second
CATEGORY = "ltx2"
_OPENING = sentences("ltx2_session_params")
_MAKING = sentences("ltx2_video_params")


class Load:
    """A session."""

    CATEGORY = CATEGORY
    RETURN_TYPES: ClassVar = (SESSION,)
    RETURN_NAMES: ClassVar = ("session",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        devices = ["auto", *ltx2.devices()]
        return {
            "required": {
                "model": _text(_OPENING["files"] + " One a line; also names of `ltx2 list`. Empty: "
                               "LTX2_MODEL of ComfyUI's environment, else the demo model."),
                "device": (devices, {"tooltip": _OPENING["device"]}),
                "threads": _number("INT", _OPENING["threads"]),
                "keep_loaded": _flag(_OPENING["keep_loaded"], False),
                "low_memory": _flag(_OPENING["low_memory"], False),
            },
            "optional": {
                "loras": _text(_OPENING["loras"] + " FILE or FILE:STRENGTH, one a line."),
            },
        }  # fmt: skip

    def load(
        self,
        model: str,
        device: str,
        threads: int,
        keep_loaded: bool,
        low_memory: bool,
        loras: str = "",
    ) -> tuple[ltx2.Session]:
        session = ltx2.Session(
            _lines(model) or None, device=device, threads=threads, keep_loaded=keep_loaded,
            low_memory=low_memory, loras=parse_loras(_lines(loras)),
        )  # fmt: skip
        return (session,)


class Generate:
    """A clip, with its sound."""

    CATEGORY = CATEGORY
    RETURN_TYPES: ClassVar = ("IMAGE", "AUDIO", "FLOAT")
    RETURN_NAMES: ClassVar = ("images", "audio", "fps")
    FUNCTION = "generate"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        recipes = ["default", *ltx2.capabilities()["recipes"]]
        seed = {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}
        return {
            "required": {
                "session": (SESSION,),
                "prompt": _text(_MAKING["prompt"]),
                "seed": ("INT", {**seed, "tooltip": _MAKING["seed"]}),
                "width": _number("INT", _MAKING["width"], step=32),
                "height": _number("INT", _MAKING["height"], step=32),
                "frames": _number("INT", _MAKING["frames"]),
                "fps": _number("FLOAT", _MAKING["fps"], step=1.0),
                "steps": _number("INT", _MAKING["steps"]),
                "guidance": _number("FLOAT", _MAKING["guidance"], least=-1.0, step=0.1),
                "stg": _number("FLOAT", _MAKING["stg"], least=-1.0, step=0.1),
                "recipe": (recipes, {"tooltip": _MAKING["recipe"]}),
                "audio": _flag("Its sound too, where the model makes sound.", True),
            },
            "optional": {
                "negative_prompt": _text(_MAKING["negative_prompt"] + " Empty: the default."),
                "images": ("IMAGE", {"tooltip": "Pictures that the clip passes through."}),
                "image_frames": ("STRING", {"default": "0", "tooltip": "Of the clip, for each of "
                                            "the pictures, with commas between."}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.01, "max": 1.0, "step": 0.01,
                                       "tooltip": "Of the pictures."}),
            },
        }  # fmt: skip

    def generate(
        self,
        session: ltx2.Session,
        prompt: str,
        audio: bool,
        recipe: str,
        negative_prompt: str = "",
        images: Any = None,
        image_frames: str = "0",
        strength: float = 1.0,
        **numbers: float,
    ) -> tuple[Any, dict[str, Any] | None, float]:
        """Of numbers, as in C, 0 is the default and what is negative is off."""
        options: dict[str, Any] = {name: value for name, value in numbers.items() if value}
        options["seed"] = numbers["seed"]
        if recipe != "default":
            options["recipe"] = recipe
        if not audio:
            options["audio"] = False
        if negative_prompt:
            options["negative_prompt"] = negative_prompt
        if images is None:
            video = session.t2v(prompt, progress=_reporter(), **options)
        else:
            chosen = _chosen(images, image_frames, strength)
            video = session.i2v(prompt, chosen, progress=_reporter(), **options)
        return _image_batch(video), _audio(video), video.fps


def _text(words: str) -> tuple[str, dict[str, Any]]:
    return ("STRING", {"default": "", "multiline": True, "tooltip": words})


def _flag(words: str, default: bool) -> tuple[str, dict[str, Any]]:
    return ("BOOLEAN", {"default": default, "tooltip": words})


def _number(
    kind: str, words: str, *, least: float = 0, step: float = 1
) -> tuple[str, dict[str, Any]]:
    """What is too large the library refuses, with its own words."""
    limits = {"default": 0, "min": least, "max": 2**31 - 1, "step": step}
    return (kind, {**limits, "tooltip": words + " 0: the default."})


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _reporter() -> Callable[[ltx2.Progress], None]:
    """A progress function that moves the node's bar, for each stage anew, and ends where ComfyUI's
    user interrupts it: ComfyUI's own exception is raised.
    """
    from comfy.model_management import throw_exception_if_processing_interrupted
    from comfy.utils import ProgressBar

    bar, shown = ProgressBar(1), (0, 0)

    def report(now: ltx2.Progress) -> None:
        nonlocal shown
        throw_exception_if_processing_interrupted()
        if shown != (now.done, now.total):  # each is a message to the browser
            shown = (now.done, now.total)
            bar.update_absolute(*shown)

    return report


def _chosen(images: Any, image_frames: str, strength: float) -> dict[int, Any]:
    """Pictures by frame, as `i2v` takes them."""
    frames = re.split(r"[,\s]+", image_frames.strip())
    numbers = [int(frame) for frame in frames if frame.isdecimal()]
    if not len(frames) == len(set(numbers)) == len(images):
        raise ltx2.InvalidArgumentError(
            f"image_frames: {image_frames!r} does not name a frame for each of {len(images)} "
            "pictures"
        )
    pixels = np.rint(np.clip(images.cpu().numpy(), 0, 1) * 255).astype(np.uint8)
    return {
        number: (Image.fromarray(picture), strength)
        for number, picture in zip(numbers, pixels, strict=True)
    }


def _image_batch(video: ltx2.Video) -> Any:
    import torch

    return torch.from_numpy(np.divide(video.frames, np.float32(255), dtype=np.float32))


def _audio(video: ltx2.Video) -> dict[str, Any] | None:
    import torch

    if video.audio is None:
        return None
    waveform = torch.from_numpy(np.array(video.audio.T[None], order="C"))
    return {"waveform": waveform, "sample_rate": video.sample_rate}


NODE_CLASS_MAPPINGS = {"LTX2Load": Load, "LTX2Generate": Generate}
NODE_DISPLAY_NAME_MAPPINGS = {
    "LTX2Load": "Load LTX-2 (ltx2)",
    "LTX2Generate": "LTX-2 clip (ltx2)",
}
