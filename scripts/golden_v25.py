"""Golden files of LTX-2.5's transformer. Imported by make_golden.py only.

By ltx-core 1.0.0, which knows LTX-2.3: biases that LTX-2.5 lacks are zero, and what it adds to
tokens that stand for one frame is added behind the module in front of the blocks.
"""

from __future__ import annotations

from typing import Any

import golden_joint
import golden_v20
import numpy as np
import reference as ref
import torch
from golden_conditions import Noise
from ltx_core.types import VideoPixelShape
from ltx_pipelines.utils import helpers
from reference import FPS, Arrays, Reference, array

MARKER = "model.diffusion_model.keyframes_abs_pos_embedding"


class Newer(Reference):
    """Of a checkpoint of LTX-2.5; `marked` are the tokens of one frame."""

    marked: tuple[int, ...] = ()
    embedding = torch.empty(0)

    @classmethod
    def of(cls, r: Reference, marked: list[int]) -> Newer:
        newer = cls.__new__(cls)
        newer.__dict__ = dict(r.__dict__)
        newer.marked = tuple(marked)
        newer.weights = dict(r.weights)
        for name, weight in r.weights.items():
            if ".ff.net." in name and "transformer_blocks" in name and "connector" not in name:
                bias = name.replace("weight", "bias")
                newer.weights.setdefault(bias, torch.zeros(weight.shape[0]))
        newer.embedding = newer.weights.pop(MARKER).float()
        return newer

    def joint(self) -> Any:
        model = super().joint()

        def mark(_module: Any, _inputs: Any, tokens: torch.Tensor) -> torch.Tensor:
            tokens[:, list(self.marked)] += self.embedding
            return tokens

        model.patchify_proj.register_forward_hook(mark)
        return model


def velocities(r: Reference) -> Arrays:
    """Video has two latent frames of 6 cells; the first is of one frame."""
    out = golden_v20.velocities(Newer.of(r, list(range(6))))
    single = np.zeros(out["latent"].shape[0], np.float32)
    single[:6] = 1
    return out | {"single_frames": single}


def clip(r: Reference) -> Arrays:
    """golden_v20.clip's and the contexts of video and sound, side by side, of both prompts."""
    newer = Newer.of(r, list(range(4)))
    contexts = golden_joint.Contexts(newer)
    out = golden_v20.clip(newer)
    out.pop("sound.every16")  # made by a vocoder that all generations share
    for name, text in (("features", contexts.positive), ("negative", contexts.negative)):
        both = [text.context, text.audio_context]
        out[name] = np.concatenate([array(c[0]) for c in both if c is not None], axis=1)
    return out


def spread(_r: Reference) -> Arrays:
    """Where so many keyframes lie in videos of some lengths: as the official code computes it."""
    return {
        f"{frames}": np.concatenate([
            array(torch.linspace(0, frames - 1, count + 2).round().to(torch.int64)[1:-1])
            for count in range(1, min(frames - 1, 24))
        ])
        for frames in (9, 17, 121, 241, 4097)
    }  # fmt: skip


def slots(r: Reference) -> Arrays:
    """A clip of clip's prompts that has two keyframes made beside it, its last frame; velocities.

    The noise, which these are of, is of the video, of each keyframe, of the sound.
    """
    slots, cells = (5, 16), 4
    newer = Newer.of(r, [*range(cells), *range(3 * cells, (3 + len(slots)) * cells)])
    video, tools = r.state(VideoPixelShape(1, 17, 64, 64, FPS))
    audio, _ = r.audio_state(VideoPixelShape(1, 17, 64, 64, FPS))
    empty = torch.zeros(1, video.latent.shape[2], 1, 2, 2)
    for frame in slots:
        video = ref.keyframe(video, tools, empty, frame, 0.0)
    noise = Noise("v25.slots")
    video = noise.added(video, [3 * cells, *(cells for _ in slots)])
    audio = noise.added(audio, [audio.latent.shape[1]])
    contexts = golden_joint.Contexts(newer)
    read = (contexts.positive.context, contexts.positive.audio_context)
    out: Arrays = {"noise": noise.values, "sigma": np.array([0.725], np.float32)}
    out["single_frames"] = np.zeros(video.latent.shape[1], np.float32)
    out["single_frames"][list(newer.marked)] = 1
    with golden_joint.later_rules():
        states = [
            helpers.modality_from_latent_state(state, context, torch.tensor([0.725]))
            for state, context in zip((video, audio), read, strict=True)
        ]
        velocities = newer.joint()(*states, None)
        for prefix, state, velocity in zip(("", "audio."), (video, audio), velocities, strict=True):
            out[f"{prefix}positions"] = array(state.positions[0])
            out[f"{prefix}velocity"] = array(velocity[0])
        how = r.config["sampling"]
        sigmas = ref.sigmas(how["schedule"], how["steps"])
        guiders = contexts.guiders(newer)
        video, _ = golden_joint.denoise(newer, (video, audio), sigmas, contexts, guiders)
    latents = ref.latents_of(video, tools)
    frames = ref.to_bytes(r.decoder()(latents))
    return out | {"latents": array(latents[0]), "frames": np.ascontiguousarray(frames[-1:])}
