"""Golden files of LTX-2.0. Imported by make_golden.py only."""

from __future__ import annotations

from typing import Any

import golden_joint
import golden_text
import numpy as np
import torch
from reference import Arrays, Reference, array, given


def velocities(r: Reference) -> Arrays:
    """golden_joint.joint's of the passes that differ: T2V, I2V, isolated."""
    out = golden_joint.joint(r)
    return {name: a for name, a in out.items() if "given." not in name and "perturbed." not in name}


def some(values: np.ndarray) -> np.ndarray:
    """Of a stage's output [channels, frames, rows, columns]."""
    return np.ascontiguousarray(values[:, ::4, ::4, ::4])


def vae(r: Reference) -> Arrays:
    """Latents of a clip and of its first frame, a decoded latent; `some` of what stages give."""
    out: Arrays = {}

    def keep(name: str, module: torch.nn.Module) -> None:
        def hook(_module: Any, _inputs: Any, result: torch.Tensor) -> None:
            out[name] = some(array(result[0]))

        module.register_forward_hook(hook)

    encoder, decoder = r.encoder(), r.decoder()
    pixels = torch.from_numpy(golden_text.clip(9, 64, 64)).float() / 127.5 - 1.0
    pixels = pixels.permute(3, 0, 1, 2)[None]
    out["image.latent"] = array(encoder(pixels[:, :, :1])[0])
    for i in (1, 3, 7):
        keep(f"clip.down_blocks.{i}", encoder.down_blocks[i])
    out["clip.latent"] = array(encoder(pixels)[0])
    latent = given("vae.latent", 1, r.config["vae"]["latent_channels"], 2, 2, 2)
    out["decode.latent"] = array(latent[0])
    for i in (0, 1, 5):
        keep(f"decode.up_blocks.{i}", decoder.up_blocks[i])
    keep("decode.conv_out", decoder.conv_out)
    decoder(latent)
    return out


def clip(r: Reference) -> Arrays:
    """golden_joint.clip's, the first and the last frame, and every 16th sample."""
    out = golden_joint.clip(r)
    out["frames"] = np.ascontiguousarray(out.pop("pixels")[::8])
    out["sound.every16"] = np.ascontiguousarray(out.pop("sound")[::16])
    return out
