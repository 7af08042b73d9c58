"""The golden file of the HQ recipe: the official pipeline itself, in float32, on a seed's noise.

Imported by make_golden.py only.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from copy import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import condition_cases
import golden_conditions
import golden_joint
import golden_sampling
import golden_sound
import numpy as np
import reference as ref
import torch
from condition_cases import HQ, Case
from ltx_core.model.transformer.model import X0Model
from ltx_pipelines import ti2vid_two_stages_hq as official
from ltx_pipelines.utils.constants import LTX_2_3_HQ_PARAMS
from ltx_pipelines.utils.helpers import denoise_audio_video
from ltx_pipelines.utils.samplers import (
    _channelwise_normalize,
    res2s_audio_video_denoising_loop,
)
from ltx_pipelines.utils.types import PipelineComponents
from reference import FPS, NEGATIVE, PROMPT, Arrays, Reference, array
from seed_noise import FRESH, SOUND, STAGE, normal_noise

if TYPE_CHECKING:
    from ltx_core.types import LatentState


SEED = condition_cases.HQ_SEED


def with_adapter(
    r: Reference, strength: float, matrices: dict[str, tuple[int, int]] = condition_cases.ADAPTED
) -> Reference:
    """The checkpoint with the adapter merged into it."""
    changed = copy(r)
    changed.weights = dict(r.weights)
    for module, (a, b) in condition_cases.adapter(matrices).items():
        name = f"model.diffusion_model.{module}.weight"
        whole = changed.weights[name].double() + strength * torch.from_numpy(b).double() @ (
            torch.from_numpy(a).double()
        )
        changed.weights[name] = whole.float()
    return changed


class Ledger:
    """What the pipeline asks for, of a tiny checkpoint and the adapter at this strength."""

    def __init__(self, r: Reference, strength: float) -> None:
        self.r = with_adapter(r, strength)
        self.video_encoder, self.video_decoder = r.encoder, r.decoder

    def transformer(self) -> X0Model:
        return X0Model(self.r.joint())

    def spatial_upsampler(self) -> Any:
        return golden_sampling.tiny_upsampler("spatial", self.r.config["vae"]["latent_channels"])

    def audio_decoder(self) -> Any:
        return golden_sound.audio_decoder(golden_joint.SOUND[golden_joint.name_of(self.r)][0])

    def vocoder(self) -> Any:
        return golden_sound.vocoder(golden_joint.SOUND[golden_joint.name_of(self.r)][1])


class Noise:
    """Of the seed, in place of the official generators: of each stage the video's, the sound's."""

    def __init__(self, case: Case) -> None:
        frames = case.pixels[0] // 8 + 1
        keyframes = sum(frame > 0 for frame, _, _ in case.images)
        # frames of each group of tokens
        self.groups = ([frames] + [1] * keyframes, [1])
        self.states, self.stages = itertools.count(), itertools.count()

    def begin(self, state: LatentState, noise_scale: float = 1.0) -> LatentState:
        """As GaussianNoiser."""
        stage, sound = divmod(next(self.states), 2)
        _, tokens, channels = state.latent.shape
        frames, rows = self.groups[sound], []
        for i, group in enumerate(frames):
            count = tokens // sum(frames) * group
            stream = stage * STAGE + (SOUND if sound else 0) + i
            rows.append(normal_noise(SEED, stream, channels * count).reshape(channels, count).T)
        return ref.noised(state, torch.from_numpy(np.concatenate(rows))[None], float(noise_scale))

    def loop(self, **given: Any) -> Any:
        """The official loop; after each half of a step video, then sound, have fresh noise."""
        first, draws = next(self.stages) * STAGE + FRESH, itertools.count()

        def fresh(latent: torch.Tensor, _generator: torch.Generator) -> torch.Tensor:
            draw, sound = divmod(next(draws), 2)
            stream = first + (SOUND if sound else 0) + draw
            values = normal_noise(SEED, stream, latent.numel()).astype(np.float64)
            noise = torch.from_numpy(values).reshape(latent.shape)
            return _channelwise_normalize((noise - noise.mean()) / noise.std())

        return res2s_audio_video_denoising_loop(
            **given, new_noise_fn=fresh, model_dtype=torch.float32
        )


def _pipeline(r: Reference) -> Any:
    """The official one; it is given its parts, as its own __init__ reads files of the makers'."""
    made = object.__new__(official.TI2VidTwoStagesHQPipeline)
    made.device, made.dtype = "cpu", torch.float32
    made.stage_1_model_ledger, made.stage_2_model_ledger = Ledger(r, 0.25), Ledger(r, 0.5)
    made.pipeline_components = PipelineComponents(torch.float32, torch.device("cpu"))
    made.pipeline_components.video_latent_channels = r.config["vae"]["latent_channels"]
    return made


def _in_float32(r: Reference, case: Case, noise: Noise) -> dict[str, Any]:
    """What replaces names of the pipeline's module: its types, its files, its random numbers."""

    def encoded(prompts: list[str], _ledger: Ledger, **_: Any) -> list[Any]:
        texts = [r.encode(prompt) for prompt in prompts]
        return [
            SimpleNamespace(video_encoding=text.context, audio_encoding=text.audio_context)
            for text in texts
        ]

    def images(*, height: int, width: int, **_: Any) -> list[Any]:
        here = replace(case, pixels=(case.pixels[0], height, width))
        return golden_conditions.images(r, here)

    def denoised(**given: Any) -> Any:
        return denoise_audio_video(**{**given, "dtype": torch.float32})

    return {
        "encode_prompts": encoded,
        "combined_image_conditionings": images,
        "denoise_audio_video": denoised,
        "res2s_audio_video_denoising_loop": noise.loop,
        "GaussianNoiser": lambda **_: noise.begin,
        "cleanup_memory": lambda: None,
    }


def _made(r: Reference, case: Case) -> Arrays:
    """All but the sound is whole."""
    how = LTX_2_3_HQ_PARAMS
    count, height, width = case.pixels
    with ExitStack() as stack:
        stack.enter_context(golden_joint.later_rules())
        for name, instead in _in_float32(r, case, Noise(case)).items():
            stack.enter_context(mock.patch.object(official, name, instead))
        stack.enter_context(mock.patch.object(torch.cuda, "synchronize"))
        see, hear = (
            stack.enter_context(mock.patch.object(official, name, wraps=getattr(official, name)))
            for name in ("vae_decode_video", "vae_decode_audio")
        )
        video, sound = _pipeline(r)(
            PROMPT, NEGATIVE, SEED, height, width, count, FPS, how.num_inference_steps,
            how.video_guider_params, how.audio_guider_params, images=[],
        )  # fmt: skip
        frames = torch.cat(list(video)).numpy()
    latents, decoder, _ = hear.call_args.args
    return {
        "latents": array(see.call_args.args[0][0]),
        "spectrogram": array(decoder(latents)[0]),
        "sound.every64": np.ascontiguousarray(array(sound.waveform).T[::64]),
        "frames": frames,
    }


def hq(r: Reference) -> Arrays:
    """The HQ recipe with the distilled adapter, from a seed: latents, two frames, the sound."""
    out: Arrays = {}
    for name, case in HQ.items():
        made = _made(r, case)
        frames, mel = made.pop("frames"), made.pop("spectrogram")
        if not case.images:  # which are large
            made["frames"] = np.ascontiguousarray(frames[::8])
            made["spectrogram.every4"] = np.ascontiguousarray(mel[:, ::4])
        out |= {f"{name}.{key}": values for key, values in made.items()}
    return out
