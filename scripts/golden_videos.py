"""Golden files of whole videos: a prompt, noise and images to latents and frames.

Imported by make_golden.py only.
"""

from __future__ import annotations

from dataclasses import replace

import golden_sampling
import golden_text
import numpy as np
import reference as ref
import torch
from ltx_core.components.guiders import MultiModalGuiderParams
from ltx_core.conditioning import VideoConditionByLatentIndex
from ltx_core.model.upsampler.model import upsample_video
from ltx_core.types import VideoPixelShape
from reference import FPS, NEGATIVE, PROMPT, Arrays, Reference, array, given, stg_blocks

REFINE = torch.tensor([0.909375, 0.725, 0.421875, 0.0])
# The stages of the distilled recipe: what the size is divided by, sigmas, share of noise.
DISTILLED = ((2, ref.sigmas("distilled", 8), 1.0), (1, REFINE, 0.909375))


def _guidance(cfg: float, stg: float, rescale: float, blocks: list[int]) -> MultiModalGuiderParams:
    return MultiModalGuiderParams(
        cfg_scale=cfg, stg_scale=stg, rescale_scale=rescale, stg_blocks=blocks
    )


# name -> schedule, steps, (cfg, stg, rescale), pixels (frames, height, width), images
# as (picture, frame, strength). Pictures are in golden_text.
Images = list[tuple[str, int, float]]
CASES: dict[str, tuple[str, int, tuple[float, float, float], tuple[int, int, int], Images]] = {
    "t2v": ("distilled", 8, (1.0, 0.0, 0.0), (9, 64, 96), []),
    "i2v": ("distilled", 8, (1.0, 0.0, 0.0), (9, 64, 64), [("fits", 0, 1.0)]),
    "i2v.resized": ("distilled", 8, (1.0, 0.0, 0.0), (9, 64, 64), [("wide", 0, 1.0)]),
    "i2v.weak": ("distilled", 8, (1.0, 0.0, 0.0), (9, 64, 64), [("tall", 0, 0.6)]),
    "dev.t2v": ("ltx2", 4, (3.0, 1.0, 0.7), (17, 64, 64), []),
    "dev.i2v": ("ltx2", 4, (3.0, 1.0, 0.7), (9, 64, 64), [("wide", 0, 1.0)]),
    "dev.default": ("ltx2", 30, (3.0, 1.0, 0.7), (9, 64, 64), []),
    "quadratic.t2v": ("linear_quadratic", 3, (2.0, 0.5, 0.4), (9, 64, 96), []),
    "quadratic.i2v": ("linear_quadratic", 3, (2.0, 0.5, 0.4), (9, 64, 64), [("wide", 0, 1.0)]),
    "keyframe": ("distilled", 8, (1.0, 0.0, 0.0), (9, 64, 64), [("fits", 5, 1.0)]),
    "keyframe.weak": ("distilled", 8, (1.0, 0.0, 0.0), (9, 64, 64), [("wide", 6, 0.7)]),
    "two": ("ltx2", 4, (3.0, 1.0, 0.7), (9, 64, 64), [("fits", 0, 1.0), ("tall", 8, 1.0)]),
    "guided.t2v": ("ltx2", 10, (3.0, 1.0, 0.7), (9, 64, 64), []),
    "guided.i2v": ("ltx2", 7, (3.0, 1.0, 0.7), (9, 32, 64), [("wide", 0, 1.0)]),
    "guided.wide": ("ltx2", 9, (4.0, 0.5, 0.5), (9, 64, 160), []),
    "keyframes": (
        "ltx2", 6, (3.0, 1.0, 0.7), (9, 32, 160),
        [("wide", 0, 0.9), ("fits", 3, 1.0), ("tall", 8, 0.7)],
    ),
}  # fmt: skip
OF_BASE = ["t2v", "i2v", "i2v.resized", "i2v.weak", "dev.t2v", "dev.i2v", "dev.default",
           "keyframe", "keyframe.weak"]  # fmt: skip


def e2e(r: Reference, names: list[str]) -> Arrays:
    """Prompt to frames. `noise` has the latent's shape; `noise.appended` is for keyframe tokens."""
    pictures = sorted({image[0] for name in names for image in CASES[name][4]})
    out: Arrays = {n: golden_text.picture(n) for n in pictures}
    positive, negative = r.encode(PROMPT).context, r.encode(NEGATIVE).context
    model, encoder, decoder = r.dit(), r.encoder(), r.decoder()
    for name in names:
        schedule, steps, guidance, (frames, height, width), images = CASES[name]
        state, tools = r.state(VideoPixelShape(1, frames, height, width, FPS))
        shape = tools.target_shape
        noise = given(f"noise.{name}", *shape.to_torch_shape())
        tokens = r.patchifier.patchify(noise)
        later = sum(image[1] > 0 for image in images)
        more = given(
            f"noise.{name}.appended", later, shape.height * shape.width, shape.channels
        ).flatten(0, 1)
        if later:
            tokens = torch.cat([tokens, more[None]], 1)
            out[f"{name}.noise.appended"] = array(more)
        for picture, frame, strength in images:
            latent = encoder(ref.image_pixels(out[picture], height, width))
            if frame == 0:
                state = VideoConditionByLatentIndex(latent, strength, 0).apply_to(state, tools)
            else:
                state = ref.keyframe(state, tools, latent, frame, strength)
        state = ref.noised(state, tokens)
        params = _guidance(*guidance, stg_blocks(r.config))
        state = ref.denoise(model, state, ref.sigmas(schedule, steps), params, positive, negative)
        latents = ref.latents_of(state, tools)
        video = decoder(latents)
        out[f"{name}.noise"], out[f"{name}.latents"] = array(noise[0]), array(latents[0])
        out[f"{name}.pixels"] = ref.to_bytes(video)
    return out


STAGES: dict[str, tuple[tuple[int, int, int], Images]] = {  # pixels of the whole, images
    "t2v": ((9, 64, 128), []),
    "i2v": ((9, 128, 64), [("wide", 0, 1.0), ("fits", 8, 0.8)]),
}


def two_stage(r: Reference) -> Arrays:
    """The distilled recipe: half the size, enlarged, three more steps; `noise` is of both."""
    out: Arrays = {n: golden_text.picture(n) for n in ("wide", "fits")}
    positive = r.encode(PROMPT).context
    model, encoder, decoder = r.dit(), r.encoder(), r.decoder()
    upsampler = golden_sampling.tiny_upsampler("spatial")
    plain = _guidance(1.0, 0.0, 0.0, [])
    for name, ((frames, height, width), images) in STAGES.items():
        latents, noises = None, []
        for divisor, steps, share in DISTILLED:
            size = (height // divisor, width // divisor)
            state, tools = r.state(VideoPixelShape(1, frames, *size, FPS))
            shape = tools.target_shape
            if latents is not None:
                large = upsample_video(latents, encoder, upsampler)
                tokens = r.patchifier.patchify(large)
                state = replace(state, latent=tokens, clean_latent=tokens)
            noise = given(f"noise.{name}.{divisor}", *shape.to_torch_shape())
            noises.append(array(noise[0]).ravel())
            tokens = r.patchifier.patchify(noise)
            for picture, frame, strength in images:
                latent = encoder(ref.image_pixels(out[picture], *size))
                if frame == 0:
                    state = VideoConditionByLatentIndex(latent, strength, 0).apply_to(state, tools)
                    continue
                state = ref.keyframe(state, tools, latent, frame, strength)
                more = given(
                    f"noise.{name}.{divisor}.{frame}", shape.height * shape.width, shape.channels
                )
                tokens = torch.cat([tokens, more[None]], 1)
                noises.append(np.ascontiguousarray(array(more).T).ravel())
            state = ref.noised(state, tokens, share)
            state = ref.denoise(model, state, steps, plain, positive, None)
            latents = ref.latents_of(state, tools)
        assert latents is not None
        out[f"{name}.noise"] = np.concatenate(noises)
        out[f"{name}.latents"] = array(latents[0])
        out[f"{name}.pixels"] = ref.to_bytes(decoder(latents))
    return out
