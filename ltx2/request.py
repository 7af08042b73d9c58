"""What a caller wants: C's struct, a video's metadata and a job file are made from it."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from . import media, tensors
from ._native import NOT_ZERO, assign, c_array, c_path, c_text, ffi
from .enhancing import Enhanced, Enhancing
from .errors import InvalidArgumentError
from .given import Given
from .keywords import described, is_whole
from .model_files import Loras, strengths_of
from .pictures import ImageLike, Pixels

Conditions: TypeAlias = ImageLike | tuple[ImageLike, float]

# Which turn a prompt into features.
TEXT_PARTS = ("text_encoder", "projection", "connector", "audio_projection", "audio_connector")
CRF = 33  # of a picture, where the caller says none and the model is no newer than LTX-2.3
TEXTS = {
    "negative_prompt", "schedule", "sampler", "recipe", "refine_sigmas", "generated_keyframes",
}  # fmt: skip
_OFF_AT_ZERO = {
    "guidance",
    "stg",
    "rescale",
    "audio",
    "audio_guidance",
    "modality_guidance",
    "temporal_upscalings",
}  # to C zero is the default, negative is off


class Options(TypedDict, total=False):
    """What to make; what is left out, or None, takes the model's own value.

    Fields of ltx2_video_params, and keyword parameters of the calls that make a video.
    """

    negative_prompt: str | None
    """What to avoid, where guidance is on; "" is nothing; default: the model's own, else a list of
    usual faults, `capabilities()["defaults"]["negative_prompt"]`."""
    width: int | None
    """Pixels, a multiple of 32; default: the model's own, 768."""
    height: int | None
    """Pixels, a multiple of 32; default: the model's own, 512."""
    frames: int | None
    """8k + 1; default: as many as the model's duration head tells from the prompt, without one the
    model's own, 121."""
    fps: float | None
    """Frames per second; default: the model's own, 24."""
    schedule: str | None
    """Noise schedule, by name; default: the model's own. `capabilities()` lists them."""
    sampler: str | None
    """How a step is made, by name; default: the model's own, mostly "euler". `capabilities()` lists
    them."""
    recipe: str | None
    """Which stages make it, by name: several begin at half the size, and need a latent upsampler;
    default: "one-stage". `capabilities()` lists them."""
    refine_sigmas: str | None
    """Noise levels of the stages after the first, each below the one before, as "0.85, 0.725,
    0.4219"; default: the recipe's own."""
    generated_keyframes: int | Sequence[int] | str | None
    """Frames that LTX-2.5 makes beside the video, for finer motion: how many, or which, as "24, 48"
    or "24,"; default: none. A sequence says which too."""
    temporal_upscalings: int | None
    """How often "dfr" doubles frames and rate, 0..2; default: 0."""
    audio: bool | None
    """Its sound too; negative is off, which makes another video, of less work; default: where the
    model makes sound. False is off too."""
    audio_guidance: float | None
    """How closely the sound follows the prompt; 1 or negative is off; default: the model's own."""
    modality_guidance: float | None
    """How closely video and sound follow each other; 1 or negative is off; default: the model's
    own."""
    steps: int | None
    """Denoising steps; default: the model's own."""
    guidance: float | None
    """How closely to follow the prompt; 1 or negative is off; default: the model's own."""
    stg: float | None
    """Spatio-temporal guidance; negative is off; default: the model's own."""
    rescale: float | None
    """How much of guidance's gain in contrast to take back, 0..1; negative is off; default: the
    model's own."""
    seed: int | None
    """Same seed, same device, same video; default: a random one, reported in `Video.seed`."""
    noise: NDArray[np.float32] | None
    """Replaces the seed's; in the shape of the latents, [channels, frames', height', width']."""


class Making(Options, total=False):
    """What to make, and what comes before."""

    enhance: bool | Enhancing | None
    """Let the text encoder write more words first: `Session.enhance`, with its options."""


making = described(Making, "ltx2_video_params")
"""For the calls of Session that have these as keyword parameters."""


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """A prompt, encoded: what the diffusion transformer reads of it.

    `Session.encode` makes them, `t2v` and `i2v` take them in place of the prompt, also where the
    model has no text encoder. They fit every model with the same text encoder and connector.
    """

    prompt: str
    """What was encoded."""

    negative_prompt: str | None
    """What was encoded to steer away from; None where guidance was off."""

    values: NDArray[np.float32]
    """[rows, width], of the prompt."""

    negative: NDArray[np.float32] | None = None
    """The same of the negative prompt."""

    parts: Mapping[str, str] = field(default_factory=dict)
    """Which parts of a model made them: by the part's id, a fingerprint of its weights."""

    def __repr__(self) -> str:
        return f"Features({self.prompt!r})"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write them into a file, whatever its ending, for `load`."""
        about = {
            "prompt": self.prompt, "negative_prompt": self.negative_prompt,
            "parts": dict(self.parts),
        }  # fmt: skip
        tensors.write(path, "features", about, self.arrays())

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Features:
        """What `save` wrote. Raises InvalidArgumentError."""
        about, arrays = tensors.read(path, "features")
        return features_of(path, about, arrays)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """By the names that files have for them."""
        both = {"features": self.values, "negative_features": self.negative}
        return {name: array for name, array in both.items() if array is not None}


def features_of(
    path: str | os.PathLike[str], about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> Features:
    """Those that a file holds."""
    prompt, negative = about.get("prompt"), about.get("negative_prompt")
    values, other = arrays.get("features", np.empty(0)), arrays.get("negative_features")
    fit = values.ndim == 2 and (other is None or other.shape == values.shape)
    if not fit or not isinstance(prompt, str) or not isinstance(negative, (str, type(None))):
        raise InvalidArgumentError(f"{path}: holds no features of a prompt")
    return Features(prompt, negative, values, other, parts_of(path, about))


def parts_of(path: str | os.PathLike[str], about: Mapping[str, Any]) -> dict[str, str]:
    """The fingerprints of a model that a file states."""
    parts = about.get("parts", {})
    if isinstance(parts, dict) and all(isinstance(value, str) for value in parts.values()):
        return parts
    raise InvalidArgumentError(f"{path}: its parts are no fingerprints")


@dataclass(frozen=True, eq=False)
class Image:
    """A picture that the video passes through, as the model is given it."""

    frame: int
    strength: float
    pixels: Pixels  # after compression
    name: str  # of its file, if it came from one
    sha256: str  # of its pixels before compression

    def about(self) -> dict[str, Any]:
        return {
            "frame": self.frame, "strength": self.strength, "name": self.name,
            "sha256": self.sha256,
        }  # fmt: skip


def placed(image: Conditions | Mapping[int, Conditions] | None) -> dict[int, Conditions]:
    """Pictures by their frames; one alone is the first."""
    pictures = image if isinstance(image, Mapping) else {} if image is None else {0: image}
    for frame in pictures:
        if not is_whole(frame):
            raise InvalidArgumentError(f"image: {frame!r} is no number of a frame")
    return {int(frame): picture for frame, picture in pictures.items()}


def image_of(frame: int, picture: ImageLike, strength: float, crf: int) -> Image:
    if not 0 < strength <= 1 or not np.float32(strength):  # as C has it
        raise InvalidArgumentError(f"strength: {strength} is not above 0 and at most 1")
    pixels = media.read_image(picture)
    name = Path(picture).name if isinstance(picture, (str, os.PathLike)) else ""
    return Image(frame, float(strength), media.codec_round_trip(pixels, crf), name, hash_of(pixels))


def hash_of(pixels: Pixels) -> str:
    height, width, _ = pixels.shape
    return hashlib.sha256(f"{width}x{height} ".encode() + pixels.tobytes()).hexdigest()


@dataclass(eq=False)
class Request:
    """Of t2v where there are no images, else of i2v; of decode where there is no prompt."""

    prompt: str
    options: dict[str, Any]  # by the names of `Options`
    images: list[Image] = field(default_factory=list)
    crf: int | None = None  # how the images were compressed
    given: Given = field(default_factory=Given)  # what else it is made by
    features: Features | None = None
    step: int = 0  # that are done
    state: NDArray[np.float32] | None = None  # after them
    enhance: Enhancing | None = None  # the prompt, before all else
    enhanced_from: str | None = None  # what the prompt was before

    def add_images(self, images: Mapping[int, Conditions], crf: int) -> None:
        if not isinstance(crf, (int, np.integer)):
            raise InvalidArgumentError(f"crf: {crf!r} is no whole number")
        for frame, picture in images.items():
            pair = picture if isinstance(picture, tuple) else (picture, 1.0)
            self.images.append(image_of(frame, *pair, crf))
        self.crf = int(crf)

    @staticmethod
    def of(prompt: str | Features, options: Mapping[str, Any]) -> Request:
        """Without images."""
        given = {name: value for name, value in options.items() if value is not None}
        given.setdefault("seed", secrets.randbits(32))
        if "noise" in given:
            given["noise"] = floats("noise", given["noise"])
        enhance = given.pop("enhance", False)
        if not isinstance(prompt, Features):
            request = Request(prompt, given)
            if isinstance(prompt, Enhanced):
                request.enhanced(prompt)
            if enhance is not False:
                request.enhance = {} if enhance is True else enhance
            return request
        if enhance is not False:
            raise InvalidArgumentError("enhance: the features are of a prompt as it is")
        if "negative_prompt" in given:
            raise InvalidArgumentError("negative_prompt: the features have it already")
        if prompt.negative_prompt is not None:
            given["negative_prompt"] = prompt.negative_prompt
        return Request(prompt.prompt, given, features=prompt)

    def enhancing(self) -> Enhancing:
        """How the prompt is enhanced, with what the rest of the request says of it."""
        known: Enhancing = {"of_image": bool(self.images), "seed": self.options["seed"]}
        return {**known, **(self.enhance or {})}

    def enhanced(self, prompt: Enhanced) -> None:
        self.prompt, self.enhanced_from, self.enhance = str(prompt), prompt.prompt, None

    def fill_in(self, settings: Mapping[str, Any]) -> None:
        """Take what ltx2_session_settings says in place of what was left open."""
        known = {name: settings.get(name) for name in Options.__annotations__}
        known = {name: value for name, value in known.items() if value is not None}
        self.options = {**known, **self.options, **known}

    def metadata(self) -> dict[str, Any]:
        """All that the video is made from; of arrays and pictures, what tells them from others."""
        about: dict[str, Any] = {"prompt": self.prompt}
        if self.enhanced_from is not None:
            about["enhanced_from"] = self.enhanced_from
        about |= {name: value for name, value in self.options.items() if name != "noise"}
        if (noise := self.options.get("noise")) is not None:
            about["noise_sha256"] = hashlib.sha256(noise.tobytes()).hexdigest()
        if self.images:
            about |= {"images": [image.about() for image in self.images], "crf": self.crf}
        return about | self.given.about()

    def params(self) -> tuple[Any, list[Any]]:
        """The C struct, and what must live as long as C reads it."""
        params = ffi.new("ltx2_video_params *")
        params.size = ffi.sizeof("ltx2_video_params")
        inputs: list[Any] = []

        def kept(value: Any) -> Any:
            inputs.append(value)
            return value

        params.prompt = kept(c_text("prompt", self.prompt))
        images = [_c_image(image, inputs) for image in self.images]
        params.images = kept(c_array("ltx2_image[]", images))
        params.image_count = len(images)
        self.given.put(params, kept)
        for name, value in self.options.items():
            if value is not None:  # else as left out
                _set_option(params, name, value, kept)
        if self.features:
            params.features = kept(_c_features(self.features, kept))
        if self.state is not None:
            state = params.resume = kept(ffi.new("ltx2_state *"))
            state.values = kept(ffi.from_buffer("float[]", floats("state", self.state)))
            state.count = self.state.size
            assign(state, "step", self.step)
        return params, inputs


def _set_option(params: Any, name: str, value: Any, kept: Any) -> None:
    if name == "noise":
        noise = kept(ffi.from_buffer("float[]", floats(name, value)))
        params.noise, params.noise_count = noise, len(noise)
    elif name in TEXTS:
        setattr(params, name, kept(c_text(name, as_text(value))))
    elif value == 0 and name in _OFF_AT_ZERO:
        assign(params, name, -1)
    elif value == 0 and name != "seed":
        raise InvalidArgumentError(NOT_ZERO.format(name))
    else:
        assign(params, name, value)


def kind_of(name: str) -> type:
    """Of the values that a field of `Options` takes, but for noise."""
    declared = dict(ffi.typeof("ltx2_video_params").fields)[name].type
    if name == "audio":
        return bool
    if declared.kind != "primitive":
        return str
    return float if declared.cname == "float" else int


def lists_frames(name: str, value: Any) -> bool:
    """Whether the option may be one whole number or a list of them, beside text, and is."""
    if name != "generated_keyframes":
        return False
    numbers = value if isinstance(value, list) else [value]
    return all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)


def as_text(value: str | int | Sequence[str | int]) -> str:
    """A list of numbers, as C reads it: one alone has a comma."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) + ("," if len(value) == 1 else "")
    return str(value)


def _c_image(image: Image, inputs: list[Any]) -> dict[str, Any]:
    height, width, _ = image.pixels.shape
    pixels = ffi.from_buffer("uint8_t[]", image.pixels)
    inputs.append(pixels)
    return {
        "pixels": pixels, "width": width, "height": height, "frame": image.frame,
        "strength": image.strength,
    }  # fmt: skip


def _c_features(features: Features, kept: Any) -> Any:
    out = ffi.new("ltx2_features *")
    out.values = kept(ffi.from_buffer("float[]", floats("features", features.values)))
    if features.negative is not None:
        out.negative = kept(ffi.from_buffer("float[]", floats("features", features.negative)))
    out.rows, out.width = features.values.shape
    return out


def c_loras(loras: Loras | None) -> tuple[Any, list[Any]]:
    """ltx2_lora[] of files and strengths, and what it points at, to be kept as long.

    One of strength 0 changes nothing and is left out: to C, 0 is what was not given.
    """
    used = {file: strength for file, strength in strengths_of(loras).items() if strength != 0}
    paths = [c_path("loras", file) for file in used]
    array = ffi.new("ltx2_lora[]", len(paths))
    for c_lora, path, strength in zip(array, paths, used.values(), strict=True):
        c_lora.file = path
        assign(c_lora, "strength", strength)
    return array, paths


def decode_params(
    latents: NDArray[np.float32], fps: float | None, upscale: bool, seed: int | None
) -> tuple[Any, list[Any]]:
    """ltx2_decode_params, and what they point at, to be kept as long."""
    values = floats("latents", latents)
    if values.ndim != 4:
        raise InvalidArgumentError(f"latents: {values.ndim} dimensions instead of 4")
    if fps == 0:
        raise InvalidArgumentError(NOT_ZERO.format("fps"))
    params = ffi.new("ltx2_decode_params *", {"size": ffi.sizeof("ltx2_decode_params")})
    c_values = ffi.from_buffer("float[]", values)
    params.latents = c_latents = ffi.new("ltx2_latents *", (c_values, *values.shape))
    assign(params, "fps", fps or 0)
    params.upscale = upscale
    assign(params, "seed", seed or 0)
    return params, [c_values, c_latents]


def frames_params(frames: NDArray[np.uint8]) -> tuple[Any, list[Any]]:
    """ltx2_frames_params, and what they point at, to be kept as long."""
    params = ffi.new("ltx2_frames_params *", {"size": ffi.sizeof("ltx2_frames_params")})
    params.pixels = pixels = ffi.from_buffer("uint8_t[]", frames)
    params.frames, params.height, params.width, _ = frames.shape
    return params, [pixels]


def floats(name: str, values: Any) -> NDArray[np.float32]:
    array = np.asarray(values)
    if not np.can_cast(array.dtype, np.float32, "same_kind"):
        raise InvalidArgumentError(f"{name}: holds {array.dtype}, not numbers")
    return np.ascontiguousarray(array, np.float32)
