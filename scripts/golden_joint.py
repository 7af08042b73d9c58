"""Golden files of video and sound together: the transformer, the text, whole clips.

Imported by make_golden.py only.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import golden_sound
import numpy as np
import reference as ref
import torch
from ltx_core.components.diffusion_steps import EulerDiffusionStep
from ltx_core.components.guiders import MultiModalGuider, MultiModalGuiderParams
from ltx_core.guidance.perturbations import (
    BatchedPerturbationConfig,
    Perturbation,
    PerturbationConfig,
    PerturbationType,
)
from ltx_core.model.transformer.model import X0Model
from ltx_core.model.transformer.transformer_args import MultiModalTransformerArgsPreprocessor
from ltx_core.types import LatentState, VideoPixelShape
from ltx_pipelines.utils import helpers
from ltx_pipelines.utils.helpers import modality_from_latent_state
from ltx_pipelines.utils.samplers import euler_denoising_loop
from reference import FPS, NEGATIVE, PROMPT, Arrays, Reference, array, given, stg_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ltx_core.model.transformer.modality import Modality


def _own_timesteps(self: Any, modality: Any, cross_modality: Any = None) -> Any:
    """The official 1.2.0 rule: scale and shift between modalities are of each token's own noise.

    ltx-core 1.0.0 has them of the other modality's; all else is as its `prepare`.
    """
    args = _prepare(self, modality, cross_modality)
    if cross_modality is None:
        return args
    scaled = modality.timesteps * self.simple_preprocessor.timestep_scale_multiplier
    rows, _ = self.cross_scale_shift_adaln(scaled.flatten(), hidden_dtype=modality.latent.dtype)
    return replace(args, cross_scale_shift_timestep=rows.view(1, -1, rows.shape[-1]))


def _of_its_noise(
    state: LatentState, context: torch.Tensor, sigma: torch.Tensor, enabled: bool = True
) -> Modality:
    """The official 1.2.0 rule: a modality that is given whole has no noise.

    In ltx-pipelines 1.0.0 it has its tokens' timesteps of 0 and the others' sigma.
    """
    made = modality_from_latent_state(state, context, sigma, enabled)
    return made if state.denoise_mask.any() else replace(made, sigma=torch.zeros_like(sigma))


_prepare = MultiModalTransformerArgsPreprocessor.prepare


@contextmanager
def later_rules() -> Iterator[None]:
    """Those of 1.2.0, which are others where some tokens are given."""
    with (
        mock.patch.object(MultiModalTransformerArgsPreprocessor, "prepare", _own_timesteps),
        mock.patch.object(helpers, "modality_from_latent_state", _of_its_noise),
    ):
        yield


def _without(kinds: list[PerturbationType], blocks: list[int] | None) -> BatchedPerturbationConfig:
    return BatchedPerturbationConfig(
        [PerturbationConfig([Perturbation(type=kind, blocks=blocks) for kind in kinds])]
    )


def text(r: Reference) -> Arrays:
    """Hidden states of a prompt, and what the sound reads of them."""
    made = r.encode(PROMPT)
    assert made.audio_context is not None
    states = np.stack([array(state) for state in made.states])
    return {
        "states": states,
        "context": array(made.context[0]),
        "audio.context": array(made.audio_context[0]),
    }


def joint(r: Reference) -> Arrays:
    """Velocities of video and sound: T2V, I2V, sound that is given, both perturbed, isolated."""
    model = r.joint()
    pixels = VideoPixelShape(1, 9, 64, 96, FPS)
    out: Arrays = {
        "sigma": np.array([0.725], np.float32),
        "stg_blocks": np.array(stg_blocks(r.config), np.int32),
    }
    states, contexts = [], []
    for prefix, (state, _), width in (
        ("", r.state(pixels), r.text_width("video")),
        ("audio.", r.audio_state(pixels), r.text_width("audio")),
    ):
        noised = ref.noised(state, given(f"joint.{prefix}latent", *state.latent.shape))
        context = torch.nn.functional.rms_norm(given(f"joint.{prefix}text", 1, 24, width), (width,))
        states.append(noised)
        contexts.append(context)
        out |= {
            f"{prefix}latent": array(noised.latent[0]),
            f"{prefix}context": array(context[0]),
            f"{prefix}positions": array(noised.positions[0]),
        }
    image, sound = (state.denoise_mask.clone() for state in states)
    image[:, :6], image[:, 6] = 0.0, 0.3
    sound[:, 2:] = 0.0
    out |= {"mask": array(image[0, :, 0]), "audio.mask": array(sound[0, :, 0])}
    still = torch.zeros_like(sound)
    both = [PerturbationType.SKIP_VIDEO_SELF_ATTN, PerturbationType.SKIP_AUDIO_SELF_ATTN]
    apart = [PerturbationType.SKIP_A2V_CROSS_ATTN, PerturbationType.SKIP_V2A_CROSS_ATTN]
    sigma = torch.tensor([0.725])
    whole = [state.denoise_mask for state in states]
    with later_rules():
        for name, masks, how in (
            ("", whole, None),
            ("i2v.", [image, sound], None),
            ("given.", [whole[0], still], None),
            ("perturbed.", whole, _without(both, stg_blocks(r.config))),
            ("isolated.", whole, _without(apart, None)),
        ):
            modalities = (
                helpers.modality_from_latent_state(
                    replace(state, denoise_mask=mask), context, sigma
                )
                for state, mask, context in zip(states, masks, contexts, strict=True)
            )
            video, audio = model(*modalities, how)
            out[f"{name}velocity"] = array(video[0])
            out[f"audio.{name}velocity"] = array(audio[0])
    return out


# of a geometry: audio VAE, vocoder
SOUND = {
    "joint": ("sound", "sound"), "duet": ("odd", "hifigan"), "v20": ("sound", "hifigan"),
    "v25": ("sound", "sound"),
}  # fmt: skip
UNGUIDED = MultiModalGuider(params=MultiModalGuiderParams())


def name_of(r: Reference) -> str:
    """Of its geometry."""
    if "cross_attention_adaln" not in r.transformer_config:
        return "v20"
    if "ff_bias" in r.transformer_config:
        return "v25"
    return "joint" if r.transformer_config["audio_in_channels"] == 128 else "duet"


class Contexts:
    """A prompt and the negative prompt, as video and sound read them."""

    def __init__(self, r: Reference) -> None:
        self.positive, self.negative = r.encode(PROMPT), r.encode(NEGATIVE)

    def guiders(self, r: Reference) -> tuple[MultiModalGuider, MultiModalGuider]:
        """Guidance of every kind, of the video and of the sound."""
        guidance = r.config["sampling"]
        video, audio = (
            MultiModalGuider(
                params=MultiModalGuiderParams(
                    cfg_scale=scale, stg_scale=guidance["stg"], rescale_scale=guidance["rescale"],
                    modality_scale=3.0, stg_blocks=stg_blocks(r.config),
                ),
                negative_context=context,
            )
            for scale, context in (
                (guidance["guidance"], self.negative.context), (7.0, self.negative.audio_context)
            )
        )  # fmt: skip
        return video, audio


def denoise(
    r: Reference,
    states: tuple[LatentState, LatentState],
    sigmas: torch.Tensor,
    contexts: Contexts,
    guiders: tuple[MultiModalGuider, MultiModalGuider],
) -> tuple[LatentState, LatentState]:
    """The Euler loop of ltx_pipelines, for video and sound."""
    step = helpers.multi_modal_guider_denoising_func(
        *guiders, contexts.positive.context, contexts.positive.audio_context, X0Model(r.joint())
    )
    video, audio = euler_denoising_loop(sigmas, *states, EulerDiffusionStep(), step)
    return video, audio


def clip(r: Reference) -> Arrays:
    """Prompt to frames and samples, guided in all ways; noise of the video, then of the sound."""
    out: Arrays = {}
    guidance = r.config["sampling"]
    pixels = VideoPixelShape(1, 9, 64, 64, FPS)
    states, tools, noises = [], [], []
    for name, (state, tool) in (("video", r.state(pixels)), ("audio", r.audio_state(pixels))):
        noise = given(f"clip.{name}", *tool.target_shape.to_torch_shape())
        # video [C,F,H,W]; audio tokens [T, C x bins] in planes: [C x bins, T]
        tokens = tool.patchifier.patchify(noise)
        noises.append(array(noise[0] if name == "video" else tokens[0].T).ravel())
        states.append(ref.noised(state, tokens))
        tools.append(tool)
    out["noise"] = np.concatenate(noises)
    contexts = Contexts(r)
    sigmas = ref.sigmas(guidance["schedule"], guidance["steps"])
    video, sound = denoise(r, (states[0], states[1]), sigmas, contexts, contexts.guiders(r))
    latents = ref.latents_of(video, tools[0])
    out["latents"], out["pixels"] = array(latents[0]), ref.to_bytes(r.decoder()(latents))
    audio = tools[1].unpatchify(sound).latent
    out["sound"] = np.ascontiguousarray(golden_sound.decoded(*SOUND[name_of(r)], audio).T)
    return out
