"""Golden files of clips that begin with more than text: images, references, a source, sound.

Imported by make_golden.py only. What they begin with is in condition_cases.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import condition_cases
import golden_joint
import golden_sampling
import golden_sound
import golden_text
import golden_videos
import numpy as np
import reference as ref
import torch
from condition_cases import CASES, Case
from ltx_core.conditioning import (
    ConditioningItemAttentionStrengthWrapper,
    VideoConditionByLatentIndex,
    VideoConditionByReferenceLatent,
)
from ltx_core.model.upsampler.model import upsample_video
from ltx_core.tools import AudioLatentTools, LatentTools, VideoLatentTools
from ltx_core.types import LatentState, VideoPixelShape
from ltx_pipelines.retake import TemporalRegionMask
from ltx_pipelines.utils.helpers import state_with_conditionings
from reference import FPS, PROMPT, Arrays, Reference, array, given


@dataclass(frozen=True)
class Keyframe:
    """An image in tokens of its own."""

    latent: torch.Tensor
    frame: int
    strength: float

    def apply_to(self, latent_state: LatentState, latent_tools: VideoLatentTools) -> LatentState:
        return ref.keyframe(latent_state, latent_tools, self.latent, self.frame, self.strength)


@dataclass(frozen=True)
class Slowed:
    """A reference of every so many frames, by the official 1.2.0 rule; 1.0.0 knows no such."""

    item: VideoConditionByReferenceLatent
    factor: int

    def apply_to(self, latent_state: LatentState, latent_tools: LatentTools) -> LatentState:
        made: LatentState = self.item.apply_to(latent_state, latent_tools)
        first_frame = latent_state.positions[:, 0, :1, 1:]
        positions = made.positions.clone()
        times = positions[:, 0, latent_state.positions.shape[2] :]
        times.mul_(self.factor).sub_((self.factor - 1) * first_frame).clamp_(min=0)
        return replace(made, positions=positions)


def _pixels(frames: np.ndarray, height: int, width: int) -> torch.Tensor:
    """As load_video_conditioning."""
    return torch.cat([ref.image_pixels(frame, height, width) for frame in frames], 2)


def images(r: Reference, case: Case) -> list[Any]:
    """At the case's size."""
    _, height, width = case.pixels
    items: list[Any] = []
    for frame, name, strength in case.images:
        pixels = ref.image_pixels(golden_text.picture(name), height, width)
        latent = r.encoder()(pixels)
        if frame == 0 and not case.keyframes:
            items.append(VideoConditionByLatentIndex(latent, strength, 0))
        else:
            items.append(Keyframe(latent, frame, strength))
    return items


def _references(r: Reference, case: Case) -> list[Any]:
    """As ICLoraPipeline._create_conditionings, each with factors and an attention of its own."""
    frames, height, width = case.pixels
    items: list[Any] = []
    for wanted in case.references:
        clip, factor = condition_cases.reference(wanted)[:frames], wanted.downscale
        clip = np.concatenate([clip[:1], clip[1 :: wanted.temporal]])
        latent = r.encoder()(_pixels(clip, height // factor, width // factor))
        item: Any = VideoConditionByReferenceLatent(latent, factor, wanted.strength)
        item = Slowed(item, wanted.temporal)
        if wanted.attention < 1:
            item = ConditioningItemAttentionStrengthWrapper(item, wanted.attention)
        items.append(item)
    return items


def _given_sound(r: Reference, case: Case, tools: AudioLatentTools) -> torch.Tensor:
    """By the official 1.2.0 rule: cut to the video, then latents of zeros where it is shorter."""
    samples = condition_cases.sound(case.samples)
    samples = samples[: round(case.pixels[0] / FPS * condition_cases.SOUND_RATE)]
    vae, _ = golden_joint.SOUND[golden_joint.name_of(r)]
    latents = golden_sound.encoded(vae, samples)
    shape = tools.target_shape.to_torch_shape()
    made = torch.zeros(shape)
    count = min(shape[2], latents.shape[2])
    made[:, :, :count] = latents[:, :, :count]
    return made


def _region(case: Case, modality: str) -> list[Any]:
    """What is made again of a modality that is given: a time of it, or nothing."""
    region = case.region if case.what in ("both", modality) else (0.0, 0.0)
    return [TemporalRegionMask(*region, FPS)]


class Noise:
    """The caller's, as far as it was used: group after group of tokens, each in planes."""

    def __init__(self, name: str) -> None:
        self.name, self.values = name, np.empty(0, np.float32)

    def added(self, state: LatentState, groups: list[int], share: float = 1.0) -> LatentState:
        """To groups of so many tokens."""
        tokens = []
        for count in groups:
            planes = given(f"{self.name}.{self.values.size}", state.latent.shape[2], count)
            self.values = np.concatenate([self.values, array(planes).ravel()])
            tokens.append(planes.T)
        return ref.noised(state, torch.cat(tokens)[None], share)


def _video(
    r: Reference, case: Case, noise: Noise, start: torch.Tensor | None = None, share: float = 1.0
) -> tuple[LatentState, VideoLatentTools]:
    """Of nothing, or of latents that a source or an earlier stage gave, and what is appended."""
    _, tools = r.state(VideoPixelShape(1, *case.pixels, FPS))
    items = images(r, case) + _references(r, case)
    if case.what:
        start = r.encoder()(_pixels(condition_cases.source(case), *case.pixels[1:]))
        items = _region(case, "video")
    state = tools.create_initial_state("cpu", torch.float32, start)
    counts = [0, state.latent.shape[1]]
    for item in items:
        state = state_with_conditionings(state, [item], tools)
        counts.append(state.latent.shape[1])
    return noise.added(state, [int(n) for n in np.diff(counts)], share), tools


def _audio(r: Reference, case: Case, noise: Noise) -> tuple[LatentState, AudioLatentTools]:
    state, tools = r.audio_state(VideoPixelShape(1, *case.pixels, FPS))
    if case.samples:
        sound = _given_sound(r, case, tools)
        state = tools.create_initial_state("cpu", torch.float32, sound)
        state = state_with_conditionings(state, _region(case, "audio"), tools)
    return noise.added(state, [state.latent.shape[1]]), tools


def _made(r: Reference, name: str, contexts: golden_joint.Contexts) -> Arrays:
    case, noise = CASES[name], Noise(f"noise.{name}")
    video, tools = _video(r, case, noise)
    audio, audio_tools = _audio(r, case, noise)
    guiders = (golden_joint.UNGUIDED, golden_joint.UNGUIDED)
    if case.schedule != "distilled":
        guiders = contexts.guiders(r)
    if case.from_sound:
        guiders = (guiders[0], golden_joint.UNGUIDED)
    sigmas = ref.sigmas(case.schedule, condition_cases.STEPS[case.schedule])
    with golden_joint.later_rules():
        video, audio = golden_joint.denoise(r, (video, audio), sigmas, contexts, guiders)
    latents = ref.latents_of(video, tools)
    out = {f"{name}.noise": noise.values, f"{name}.latents": array(latents[0])}
    if not case.keeps_sound:
        sound = audio_tools.unpatchify(audio).latent
        samples = golden_sound.decoded(*golden_joint.SOUND[golden_joint.name_of(r)], sound)
        out[f"{name}.sound.every64"] = np.ascontiguousarray(samples.T[::64])
    if case.geometry == "joint":  # one of each kind: frames are large
        frames = ref.to_bytes(r.decoder()(latents))
        out[f"{name}.frames"] = np.ascontiguousarray(frames[:: case.pixels[0] // 2])
    return out


def clips(r: Reference) -> Arrays:
    """Keyframes, reference videos, a time made again, given sound: to latents, frames and sound."""
    contexts, geometry = golden_joint.Contexts(r), golden_joint.name_of(r)
    out: Arrays = {}
    for name, case in CASES.items():
        if case.geometry == geometry:
            out |= _made(r, name, contexts)
    return out | _two_stages(r, geometry)


def two_stage(r: Reference) -> Arrays:
    """Of the geometry that has no sound."""
    return _two_stages(r, "bf16")


def _two_stages(r: Reference, geometry: str) -> Arrays:
    """The distilled recipe: pictures, sound are in both stages, references in the first alone.

    Noise of the video of each stage comes first, then that of the sound of each.
    """
    out: Arrays = {}
    for name, case in condition_cases.TWO_STAGES.items():
        if case.geometry != geometry:
            continue
        noise, latents = Noise(f"noise.{name}"), None
        sound_noise = Noise(f"noise.{name}.sound")
        for divisor, sigmas, share in golden_videos.DISTILLED:
            frames, height, width = case.pixels
            stage = replace(case, pixels=(frames, height // divisor, width // divisor))
            if latents is not None:
                channels = r.config["vae"]["latent_channels"]
                upsampler = golden_sampling.tiny_upsampler("spatial", channels)
                latents = upsample_video(latents, r.encoder(), upsampler)
                stage = replace(stage, references=())
            state, tools = _video(r, stage, noise, latents, share)
            if case.samples:
                state = _with_sound(r, stage, sound_noise, state, sigmas)
            else:
                context = r.encode(PROMPT).context
                how = golden_joint.UNGUIDED.params
                state = ref.denoise(r.dit(), state, sigmas, how, context, None)
            latents = ref.latents_of(state, tools)
        assert latents is not None
        values = np.concatenate([noise.values, sound_noise.values])
        out |= {f"{name}.noise": values, f"{name}.latents": array(latents[0])}
    return out


def _with_sound(
    r: Reference, case: Case, noise: Noise, video: LatentState, sigmas: torch.Tensor
) -> LatentState:
    """The video of a stage to a given sound, as A2VidPipelineTwoStage, without guidance."""
    audio, _ = _audio(r, case, noise)
    guiders = (golden_joint.UNGUIDED, golden_joint.UNGUIDED)
    with golden_joint.later_rules():
        made, _ = golden_joint.denoise(r, (video, audio), sigmas, golden_joint.Contexts(r), guiders)
    return made
