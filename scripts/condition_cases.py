"""What the golden clips of golden_conditions.py begin with; the tests begin with the same."""

from __future__ import annotations

from dataclasses import dataclass

import golden_text
import make_tiny
import numpy as np
from numpy.typing import NDArray

SOUND_RATE = 16000
STEPS = {"ltx2": 3, "distilled": 8}


@dataclass(frozen=True)
class Reference:
    """A clip that the video follows; the names are those of `ltx2.Reference`."""

    pixels: tuple[int, int, int]  # frames, height, width
    strength: float = 1.0
    attention: float = 1.0
    downscale: int = 1
    temporal: int = 1


@dataclass(frozen=True)
class Case:
    """A clip on a tiny geometry: guided in all ways, or distilled, which is not guided."""

    geometry: str
    pixels: tuple[int, int, int]  # frames, height, width
    schedule: str = "ltx2"
    images: tuple[tuple[int, str, float], ...] = ()  # frame, picture, strength
    keyframes: bool = False  # whether the picture at frame 0 is appended as the others are
    references: tuple[Reference, ...] = ()
    samples: int = 0  # of the given sound
    region: tuple[float, float] = (0.0, 0.0)  # in seconds, of what is made again ...
    what: str = ""  # "video", "audio" or "both"; of a clip of golden_text that is given whole

    @property
    def from_sound(self) -> bool:
        """Whether it is the video of a sound, and no retake."""
        return self.samples > 0 and not self.what

    @property
    def keeps_sound(self) -> bool:
        """Whether all of it is heard as it was given."""
        return self.from_sound or self.what == "video"


# A region's ends are borders of latent frames where that tells whether a touch is an overlap.
# Sounds are longer than their clips, or shorter, never as long.
CASES = {
    "images": Case("joint", (9, 32, 64), images=((0, "wide", 1.0), (5, "fits", 0.7))),
    "keyframes": Case(
        "joint", (9, 32, 64), images=((0, "wide", 1.0), (5, "fits", 0.7)), keyframes=True
    ),
    "keyframes.weak": Case(
        "duet", (17, 32, 64), images=((0, "tall", 0.7), (12, "wide", 1.0)), keyframes=True
    ),
    "reference": Case(
        "duet", (9, 64, 64), "distilled", images=((0, "wide", 1.0), (8, "fits", 0.8)),
        references=(Reference((12, 50, 141)),),
    ),
    "reference.half": Case(
        "duet", (9, 64, 64), images=((0, "tall", 1.0),),
        references=(Reference((9, 64, 64), strength=0.6, downscale=2),),
    ),
    "reference.slow": Case(
        "duet", (17, 64, 64), "distilled",
        references=(Reference((17, 50, 141), downscale=2, temporal=2),),
    ),
    "reference.first": Case(
        "joint", (9, 32, 64), "distilled", images=((0, "wide", 1.0), (6, "fits", 1.0)),
        references=(Reference((9, 50, 141), attention=0.5), Reference((9, 137, 75), strength=0.6)),
    ),
    "reference.second": Case(
        "duet", (9, 32, 64), images=((6, "fits", 1.0),),
        references=(Reference((9, 50, 141)), Reference((1, 137, 75), attention=0.3)),
    ),
    "retake": Case("joint", (17, 32, 64), region=(0.05, 0.375), what="both", samples=14000),
    "retake.video": Case("duet", (17, 32, 64), region=(0.375, 0.6), what="video", samples=14000),
    "retake.audio": Case(
        "duet", (17, 32, 64), "distilled", region=(0.2, 0.33), what="audio", samples=14000
    ),
    "retake.short": Case(
        "duet", (17, 32, 64), "distilled", region=(0.2, 0.33), what="both", samples=5000
    ),
    "a2v": Case("joint", (17, 32, 64), images=((0, "wide", 1.0),), samples=14000),
    "a2v.distilled": Case(
        "duet", (9, 64, 64), "distilled", images=((6, "tall", 0.8),), samples=7000
    ),
}  # fmt: skip

# Of the whole; the references are of the first stage, and `downscale` of its size.
TWO_STAGES = {
    "keyframes": Case(
        "bf16", (9, 64, 128), images=((0, "wide", 1.0), (8, "fits", 1.0)), keyframes=True
    ),
    "reference": Case(
        "bf16", (9, 128, 128), images=((0, "wide", 1.0), (6, "tall", 1.0)),
        references=(Reference((9, 137, 75), attention=0.5, downscale=2),),
    ),
    "a2v.stages": Case("joint", (9, 64, 128), images=((0, "wide", 1.0),), samples=7000),
}  # fmt: skip

# Of the HQ recipe, whose sampler takes noise of the seed: the whole size.
HQ = {
    "t2v": Case("joint", (9, 64, 128)),
    "i2v": Case("joint", (9, 64, 128), images=((0, "wide", 1.0), (8, "fits", 0.8))),
}
HQ_SEED = 0x9876543210
# A matrix of each kind that the recipe's adapter changes: outputs, inputs.
ADAPTED = {
    "transformer_blocks.0.attn1.to_q": (128, 128),
    "transformer_blocks.1.audio_ff.net.2": (32, 128),
    "transformer_blocks.2.audio_to_video_attn.to_v": (32, 32),
}


# The same of LTX-2.5's that adds detail.
DETAILED = {
    "transformer_blocks.0.attn1.to_q": (64, 64),
    "transformer_blocks.1.ff.net.2": (64, 256),
}


def adapter(
    matrices: dict[str, tuple[int, int]] = ADAPTED,
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Matrix -> A, B."""
    made, rank = {}, 3
    for module, (outputs, inputs) in matrices.items():
        a = make_tiny.normal("adapter", f"{module}.A", (rank, inputs))
        b = make_tiny.normal("adapter", f"{module}.B", (outputs, rank))
        made[module] = (a / np.float32(inputs**0.5), b / np.float32(2))
    return made


def sound(samples: int) -> NDArray[np.float32]:
    """Samples x 2, at SOUND_RATE."""
    noise = make_tiny.normal("golden", "conditions.sound", (samples, 2))
    return np.multiply(noise, 0.2, dtype=np.float32)


def reference(wanted: Reference) -> NDArray[np.uint8]:
    return golden_text.clip(*wanted.pixels)


def source(case: Case) -> NDArray[np.uint8]:
    """Of a retake."""
    return golden_text.clip(*case.pixels)
