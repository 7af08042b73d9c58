"""Golden files of LTX-2.5's transformer. Imported by make_golden.py only.

By ltx-core 1.0.0, which knows LTX-2.3: biases that LTX-2.5 lacks are zero, and what it adds to
tokens that stand for one frame is added behind the module in front of the blocks.
"""

from __future__ import annotations

from typing import Any

import golden_joint
import golden_v20
import numpy as np
import torch
from reference import Arrays, Reference, array

MARKER = "model.diffusion_model.keyframes_abs_pos_embedding"


class Newer(Reference):
    """Of a checkpoint of LTX-2.5; `marked` are the tokens of one frame."""

    marked = slice(0, 0)
    embedding = torch.empty(0)

    @classmethod
    def of(cls, r: Reference, marked: slice) -> Newer:
        newer = cls.__new__(cls)
        newer.__dict__ = dict(r.__dict__)
        newer.marked = marked
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
            tokens[:, self.marked] += self.embedding
            return tokens

        model.patchify_proj.register_forward_hook(mark)
        return model


def velocities(r: Reference) -> Arrays:
    """Video has two latent frames of 6 cells; the first is of one frame."""
    out = golden_v20.velocities(Newer.of(r, slice(0, 6)))
    single = np.zeros(out["latent"].shape[0], np.float32)
    single[:6] = 1
    return out | {"single_frames": single}


def clip(r: Reference) -> Arrays:
    """golden_v20.clip's and the contexts of video and sound, side by side, of both prompts."""
    newer = Newer.of(r, slice(0, 4))
    contexts = golden_joint.Contexts(newer)
    out = golden_v20.clip(newer)
    out.pop("sound.every16")  # made by a vocoder that all generations share
    for name, text in (("features", contexts.positive), ("negative", contexts.negative)):
        both = [text.context, text.audio_context]
        out[name] = np.concatenate([array(c[0]) for c in both if c is not None], axis=1)
    return out
