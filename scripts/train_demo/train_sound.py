"""The stages of the sound: the audio autoencoder, and the vocoder with its band extension.

Both see only drawn sounds.  The autoencoder learns log-mel spectrograms, what can be heard of
them most, with a noise on the latents and a weak pull of their scale towards one, and ends by
measuring `per_channel_statistics`.  The vocoder learns waves from spectrograms, true ones and
ones that the autoencoder has decoded: there is one right wave for a hum (see sounds.py), for
noise only its spectrum counts.
"""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everyone calls it
from config import AUDIO_TOKEN, CONFIG
from optim import Average, Clock, autocast, learning_rate, make_optimizers, save, step_all
from scenes import Scene, Shapes
from sounds import BINS, FULL_RATE, HOP, RATE, log_mel, mel_filters, sound
from torch import nn
from world import training_scene

_ABSENT = types.ModuleType("torchaudio")  # ltx-core names it; nothing here calls it
_ABSENT.__spec__ = ModuleSpec("torchaudio", None)
_ABSENT.__dict__["transforms"] = types.ModuleType("torchaudio.transforms")
sys.modules.setdefault("torchaudio", _ABSENT)

from ltx_core.model.audio_vae.model_configurator import (  # noqa: E402
    AudioDecoderConfigurator,
    AudioEncoderConfigurator,
    VocoderConfigurator,
)

LATENTS_A_SECOND = 25
BATCH = {"cpu": 8, "cuda": 32}  # clips, and pieces, of a step
LENGTHS = (1.0, 49 / 24, 49 / 24, 49 / 24, 3.0)  # seconds of the clips the autoencoder sees
LATENT_NOISE, RAMP = 0.08, 0.4  # of the latents, and over which share of the time it grows
USUAL = -6.0  # the mean of log-mels, where the decoder begins
SIDES = 3.0  # what the difference of the channels counts beside the channels
FLOOR, SILENT_WEIGHT = -6.5, 0.15  # below it a bin counts this much, at full level 1 more


def latents_of(seconds: float) -> int:
    """How many latents a video of this length has, a half to even as officially."""
    return round(LATENTS_A_SECOND * seconds)


def spectrograms(scenes: list[Scene], seconds: float, device: str) -> torch.Tensor:
    """[n, 2, frames, 64] of as many frames as the latents of that length decode to."""
    return log_mel(sound(scenes, seconds, device=device))[:, :, : 4 * latents_of(seconds) - 3]


def draw_scenes(rng: np.random.Generator, count: int) -> list[Scene]:
    return [training_scene(rng, scenes=0.4) for _ in range(count)]


# ---- the audio autoencoder


@torch.no_grad()
def _compare_sides(weight: torch.Tensor, bins: int) -> None:
    """Lets a first layer see what differs between the channels, of `bins` inputs each.

    They differ by little of what they are; trainings that began otherwise stayed mono.
    """
    more = 3 * weight.std() * torch.randn_like(weight[:, :bins])
    weight[:, :bins] += more
    weight[:, bins:] -= more


class AudioVae(nn.Module):
    """The official encoder and decoder, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = AudioEncoderConfigurator.from_config(CONFIG)
        self.decoder = AudioDecoderConfigurator.from_config(CONFIG)
        nn.init.constant_(self.decoder.conv_out.conv.bias, USUAL)
        _compare_sides(self.encoder.conv_in.conv.weight, 1)
        for part in (self.encoder, self.decoder):  # made as long as `ch`, which is smaller here
            part.per_channel_statistics.register_buffer("mean-of-means", torch.zeros(AUDIO_TOKEN))
            part.per_channel_statistics.register_buffer("std-of-means", torch.ones(AUDIO_TOKEN))

    def set_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        for part in (self.encoder, self.decoder):
            part.per_channel_statistics.get_buffer("mean-of-means").copy_(mean)
            part.per_channel_statistics.get_buffer("std-of-means").copy_(std)


def audible(mel: torch.Tensor) -> torch.Tensor:
    """The weight of each bin: what is heard counts several times what is not."""
    return SILENT_WEIGHT + ((mel - FLOOR) / -FLOOR).clamp(0, 1.2)


def _sides(mel: torch.Tensor) -> torch.Tensor:
    """How much louder each bin is on the left: little beside how loud it is, but where it is."""
    return mel[:, 0] - mel[:, 1]


def _vae_loss(
    vae: AudioVae, mel: torch.Tensor, noise: float, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The training loss, and the mean distance of log-mels."""
    with autocast(device):
        z = vae.encoder(mel)
        y = vae.decoder(z + noise * torch.randn_like(z))
    y, z, weight = y.float(), z.float(), audible(mel)
    distance, sides = (y - mel).abs(), (_sides(y) - _sides(mel)).abs()
    scale = 1e-2 * (z.pow(2).mean() - 1).clamp(min=0) + 1e-2 * z.mean((0, 2)).pow(2).mean()
    wrong = (weight * distance).mean() + SIDES * (weight.amax(1) * sides).mean()
    return 2 * wrong + scale, distance.mean().detach()


@torch.no_grad()
def measure_vae(vae: AudioVae, device: str, count: int) -> tuple[float, float, float]:
    """Mean distance of log-mels of whole clips, of their audible part alone, and of its sides."""
    mel = spectrograms(draw_scenes(np.random.default_rng(99), count), 49 / 24, device)
    with autocast(device):
        y = vae.decoder(vae.encoder(mel)).float()
    distance, heard = (y - mel).abs(), mel > FLOOR
    sides = (_sides(y) - _sides(mel)).abs()[heard.all(1)]
    return float(distance.mean()), float(distance[heard].mean()), float(sides.mean())


@torch.no_grad()
def _set_statistics(vae: AudioVae, device: str, count: int) -> None:
    rng, rows = np.random.default_rng(7), []
    vae.set_statistics(torch.zeros(AUDIO_TOKEN), torch.ones(AUDIO_TOKEN))
    for _ in range(count // 16):
        mel = spectrograms(draw_scenes(rng, 16), 49 / 24, device)
        with autocast(device):
            z = vae.encoder(mel).float()
        rows.append(z.permute(1, 3, 0, 2).flatten(0, 1).flatten(1))  # tokens are channel by bin
    z = torch.cat(rows, 1)
    vae.set_statistics(z.mean(1), z.std(1).clamp(min=0.1))


def _resumed(path: Path, module: nn.Module, average: Average, optimizers: list[Any]) -> Any:
    """The step and the seconds worked so far, of a stage begun before."""
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=False)
    module.load_state_dict(state["module"])
    for name, value in state["average"].items():
        average.values[name].copy_(value)
    for optimizer, given in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(given)
    return state["step"], state["used"]


def _smaller(batch: int, optimizers: list[Any]) -> int:
    """Half the batch, after one that the device had no room for."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    torch.cuda.empty_cache()
    print(f"   no room for a batch of {batch}", flush=True)
    return max(1, batch // 2)


def _on_cpu(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.cpu() for name, value in module.state_dict().items()}


def _keep(
    path: Path, module: nn.Module, average: Average, optimizers: list[Any], step: int, used: float
) -> None:
    state = {"module": module.state_dict(), "average": average.values, "step": step, "used": used}
    save(path, state | {"optimizers": [optimizer.state_dict() for optimizer in optimizers]})


def train_vae(
    folder: Path, minutes: float, device: str, lr: float = 2e-3, muon: float = 0.02
) -> None:
    torch.manual_seed(1)
    batch = BATCH[device.split(":")[0]]
    vae, whole = AudioVae().to(device), AudioVae().to(device)
    average, parameters = Average(vae), list(vae.parameters())
    optimizers, resume = make_optimizers([vae], lr, muon), folder / "sound-train.pt"
    step, used = _resumed(resume, vae, average, optimizers)
    clock, recent = Clock(minutes, used), torch.zeros((), device=device)

    def keep(last: bool = False) -> None:
        _keep(resume, vae, average, optimizers, step, clock.used)
        whole.load_state_dict(average.values)
        _set_statistics(whole, device, 512 if last else 32)
        save(folder / "sound.pt", _on_cpu(whole))
        every, heard, sides = measure_vae(whole, device, 64 if last else 8)
        said = f"L1 {every:.3f}, audible {heard:.3f}, sides {sides:.3f}"
        print(f"   average, whole clips: {said}", flush=True)

    while not clock.done:
        rng = np.random.default_rng((21, step))
        seconds = LENGTHS[int(rng.integers(len(LENGTHS)))]
        scenes = draw_scenes(rng, max(1, round(batch * 2 / seconds)))
        noise = LATENT_NOISE * min(clock.share / RAMP, 1.0)
        try:
            loss, distance = _vae_loss(vae, spectrograms(scenes, seconds, device), noise, device)
            loss.backward()
        except torch.OutOfMemoryError:
            batch = _smaller(batch, optimizers)
            continue
        step_all(optimizers, [muon, lr], learning_rate(clock.share), parameters)
        average.update(vae, step)
        step += 1
        recent = torch.lerp(distance, recent, min(0.95, 1 - 1 / step))
        if clock.is_time_to_say():
            said = f"audio-vae step {step} {clock.used / 60:.1f} min  L1 {float(recent):.3f}"
            print(said, flush=True)
        if clock.is_time_to_keep():
            keep()
    keep(last=True)


def load(folder: Path, device: str) -> AudioVae:
    vae = AudioVae()
    vae.load_state_dict(torch.load(folder / "sound.pt", map_location="cpu"))
    vae.eval().requires_grad_(False)
    return vae.to(device)  # type: ignore[no-any-return]


@torch.no_grad()
def encode(vae: AudioVae, scenes: list[Scene], seconds: float, device: str) -> torch.Tensor:
    """Normalised latents [n, channels, T, 16] of the scenes' sounds."""
    z: torch.Tensor = vae.encoder(spectrograms(scenes, seconds, device))
    return z


def encode_sounds(folder: Path, scenes: list[Scene], seconds: float, device: str) -> torch.Tensor:
    """As `encode`, in batches that any device has room for."""
    vae = load(folder, device)
    parts = [scenes[i : i + 64] for i in range(0, len(scenes), 64)]
    return torch.cat([encode(vae, part, seconds, device) for part in parts])


# ---- the vocoder

FRAMES = {"cpu": 24, "cuda": 40}  # of a piece
POOL, POOL_STEPS = 256, 250  # clips at hand, and steps until new ones
WINDOWS = (1024, 512, 256, 128)  # of the spectra that are compared, at each rate
MEAN, SPREAD, REACH = -6.0, 2.0, 3  # of log-mels; frames the first convolution sees aside
FAINT = 3e-3  # amplitude under which spectra are alike
MOST_NOISE = 0.3  # on the latents of what the autoencoder decodes
SEEN, FULL = 49 / 24, FULL_RATE // RATE  # seconds of a clip, samples heard for one made first


def new_vocoder() -> Any:
    """The official module, but for one channel; `official` makes one for two of it.

    Its band extension listens with fixed waves, and adds nothing yet.
    """
    config = {part: dict(CONFIG["vocoder"][part]) for part in ("vocoder", "bwe")}
    for part in config.values():
        part["upsample_initial_channel"] //= 2
    vocoder = VocoderConfigurator.from_config({"vocoder": config})
    for generator in (vocoder.vocoder, vocoder.bwe_generator):
        first, last = generator.conv_pre, generator.conv_post
        generator.conv_pre = nn.Conv1d(BINS, first.out_channels, first.kernel_size)
        generator.conv_post = nn.Conv1d(
            last.in_channels, 1, last.kernel_size, padding=3, bias=False
        )
    nn.init.zeros_(vocoder.bwe_generator.conv_post.weight)
    listens, window = vocoder.mel_stft, config["bwe"]["n_fft"]
    turns = torch.arange(window // 2 + 1).double()[:, None] * torch.arange(window) / window
    waves = torch.cat([torch.cos(2 * math.pi * turns), -torch.sin(2 * math.pi * turns)])
    waves *= torch.hann_window(window, dtype=torch.float64)
    listens.stft_fn.forward_basis.copy_(waves[:, None])
    listens.stft_fn.inverse_basis.copy_(torch.linalg.pinv(waves).T[:, None])
    listens.mel_basis.copy_(torch.from_numpy(mel_filters(window)))
    return vocoder


def sung(generator: Any, mel: torch.Tensor) -> torch.Tensor:
    """The wave of each channel [n, 2, samples] for log-mels [n, 2, frames, 64].

    The generator sees them around zero: as they are, all of them far from it alike, they make
    every step of its first weights a leap.  At the ends is what the official convolution adds.
    """
    near = (mel.flatten(0, 1) - MEAN) / SPREAD
    near = F.pad(near, (0, 0, REACH, REACH), value=-MEAN / SPREAD)
    # The official module joins the bins of two channels, which here are the halves of one.
    wave: torch.Tensor = generator(near.unflatten(2, (2, -1)).transpose(1, 2))
    return wave.view(len(mel), 2, -1)


def official(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights for log-mels as they are, and for two channels that know nothing of each other."""
    out = {name: value.cpu() for name, value in state.items()}
    for generator in ("vocoder", "bwe_generator"):
        weight, bias = (f"{generator}.conv_pre.{name}" for name in ("weight", "bias"))
        out[weight] = out[weight] / SPREAD
        out[bias] = out[bias] - MEAN * out[weight].sum((1, 2))
    for name, value in out.items():
        if name.startswith("mel_stft") or name.endswith("filter"):
            continue
        if value.ndim == 1:
            out[name] = value.repeat(2)
            continue
        rows, columns, taps = value.shape
        out[name] = value.new_zeros(2 * rows, 2 * columns, taps)
        out[name][:rows, :columns] = out[name][rows:, columns:] = value
    return out


def load_vocoder(folder: Path, device: str) -> Any:
    vocoder = VocoderConfigurator.from_config(CONFIG)
    path = folder / "vocoder.pt"
    trained = (
        torch.load(path, map_location="cpu")
        if path.exists()
        else official(new_vocoder().state_dict())
    )
    vocoder.load_state_dict(trained)
    vocoder.eval().requires_grad_(False)
    return vocoder.to(device)


class Pool:
    """Clips drawn at once, of which each step takes pieces."""

    @torch.no_grad()
    def __init__(self, vae: AudioVae, seed: int, device: str) -> None:
        frames = 4 * latents_of(SEEN) - 3
        scenes = draw_scenes(np.random.default_rng((31, seed)), POOL)
        first, full, mels = [], [], []
        for part in (scenes[i : i + 32] for i in range(0, POOL, 32)):
            audio = sound(part, SEEN, device=device)
            mel = log_mel(audio)[:, :, :frames]
            z = vae.encoder(mel)
            amount = MOST_NOISE * torch.rand(len(part), 1, 1, 1, device=device)
            mels.append(torch.stack([mel, vae.decoder(z + amount * torch.randn_like(z))]))
            first.append(audio[..., : frames * HOP])
            full.append(sound(part, SEEN, FULL_RATE, device)[..., : FULL * frames * HOP])
        self.mels, self.first, self.full = torch.cat(mels, 1), torch.cat(first), torch.cat(full)
        self.hums = torch.tensor([isinstance(scene, Shapes) for scene in scenes], device=device)
        self.frames, self.piece, self.device = frames, FRAMES[device.split(":")[0]], device

    def pieces(self, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, ...]:
        """Spectrograms, true or decoded; waves at both rates; which of them are hums."""
        start = rng.integers(self.frames - self.piece + 1, size=count)
        start[:: count // 4] = 0  # a clip's beginning more often
        clip, source, begin = (
            torch.from_numpy(values).to(self.device)
            for values in (rng.integers(POOL, size=count), rng.integers(2, size=count), start)
        )

        def cut(whole: torch.Tensor, unit: int) -> torch.Tensor:
            """[count, samples, 2], the pieces' part of [clips, 2, samples]."""
            places = unit * begin[:, None] + torch.arange(unit * self.piece, device=self.device)
            return whole[clip[:, None], :, places].transpose(1, 2)

        frames = begin[:, None] + torch.arange(self.piece, device=self.device)
        mel = self.mels[source[:, None], clip[:, None], :, frames].transpose(1, 2)
        return mel, cut(self.first, HOP), cut(self.full, FULL * HOP), self.hums[clip]


def _spectrum(audio: torch.Tensor, window: int) -> torch.Tensor:
    """[n, 2, bins, frames] of amplitudes, 1 for a full wave."""
    hann = torch.hann_window(window, device=audio.device)
    flat = audio.flatten(0, 1)
    waves = torch.stft(flat, window, window // 4, window=hann, return_complex=True)
    return (waves.abs() * (4 / window)).unflatten(0, audio.shape[:2])


def wave_loss(y: torch.Tensor, x: torch.Tensor, hums: torch.Tensor) -> torch.Tensor:
    """Between made and true waves [n, 2, samples]: spectra, and of hums the waves."""
    loss = torch.zeros((), device=x.device)
    for window in WINDOWS:
        a, b = _spectrum(y, window), _spectrum(x, window)
        distance = torch.log((a + FAINT) / (b + FAINT)).abs().mean()
        missed = (a - b).square().sum((1, 2, 3)).add(1e-8).sqrt()
        loss = loss + distance + (missed / (b.square().sum((1, 2, 3)).sqrt() + 0.1)).mean()
    off = (y - x).abs().mean((1, 2)) / (x.abs().mean((1, 2)) + 0.01)
    return loss / len(WINDOWS) + 2 * (off * hums).mean()


def _extended(vocoder: Any, first: torch.Tensor) -> torch.Tensor:
    """The sound at 48 kHz, of that at 16 kHz which it leaves as it is."""
    with torch.no_grad():
        heard = vocoder._compute_mel(first).transpose(2, 3)
        skip = vocoder.resampler(first)
    return sung(vocoder.bwe_generator, heard) + skip


@torch.no_grad()
def measure_vocoder(vocoder: Any, vae: AudioVae, device: str, count: int) -> list[float]:
    """The loss at 48 kHz over whole clips, of true spectrograms and of decoded ones."""
    scenes = draw_scenes(np.random.default_rng(98), count)
    mel, hums = spectrograms(scenes, SEEN, device), [isinstance(s, Shapes) for s in scenes]
    x = sound(scenes, SEEN, FULL_RATE, device)[..., : FULL * HOP * mel.shape[2]]
    told = torch.tensor(hums, device=device)
    decoded = vae.decoder(vae.encoder(mel))
    return [float(wave_loss(vocoder(given), x, told)) for given in (mel, decoded)]


Step = Callable[..., torch.Tensor]  # of a batch: losses, whose gradients it leaves behind


class Captured:
    """A step as one CUDA graph: thousands of small kernels, none of them launched from Python."""

    def __init__(self, step: Step, given: tuple[torch.Tensor, ...], module: nn.Module) -> None:
        self.given, self.parameters = [v.clone() for v in given], list(module.parameters())
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                step(*self.given)
                module.zero_grad()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.losses = step(*self.given)
        self.gradients = [p.grad for p in self.parameters]

    def __call__(self, *given: torch.Tensor) -> torch.Tensor:
        for mine, new in zip(self.given, given, strict=True):
            mine.copy_(new)
        self.graph.replay()
        for p, gradient in zip(self.parameters, self.gradients, strict=True):
            p.grad = gradient
        return self.losses.clone()


def train_vocoder(
    folder: Path, minutes: float, device: str, lr: float = 1e-3, muon: float = 3e-3
) -> None:
    torch.manual_seed(2)
    torch.backends.cudnn.allow_tf32 = False  # the extension listens to what is quiet, too
    batch = BATCH[device.split(":")[0]]
    vae, vocoder = load(folder, device), new_vocoder().to(device)
    average, parameters = Average(vocoder), list(vocoder.parameters())
    optimizers, resume = make_optimizers([vocoder], lr, muon), folder / "vocoder-train.pt"
    step, used = _resumed(resume, vocoder, average, optimizers)
    clock, recent = Clock(minutes, used), torch.zeros(2, device=device)
    pool = Pool(vae, step // POOL_STEPS, device)

    def keep(last: bool = False) -> None:
        _keep(resume, vocoder, average, optimizers, step, clock.used)
        save(folder / "vocoder.pt", official(average.values))
        whole = load_vocoder(folder, device)
        true, decoded = measure_vocoder(whole, vae, device, 16 if last else 4)
        print(f"   average, whole clips: {true:.3f}, decoded {decoded:.3f}", flush=True)

    def losses_of(
        mel: torch.Tensor, first: torch.Tensor, full: torch.Tensor, hums: torch.Tensor
    ) -> torch.Tensor:
        y = sung(vocoder.vocoder, mel)
        extended = _extended(vocoder, y.detach())
        losses = torch.stack([wave_loss(y, first, hums), wave_loss(extended, full, hums)])
        losses.sum().backward()
        return losses.detach()

    work: Step = losses_of
    if device.startswith("cuda"):
        try:
            work = Captured(losses_of, pool.pieces(np.random.default_rng(0), batch), vocoder)
        except RuntimeError as error:
            print("   no graph:", error, flush=True)
            vocoder.zero_grad()
    while not clock.done:
        if step and step % POOL_STEPS == 0:
            pool = Pool(vae, step // POOL_STEPS, device)
        losses = work(*pool.pieces(np.random.default_rng((32, step)), batch))
        step_all(optimizers, [muon, lr], learning_rate(clock.share), parameters)
        average.update(vocoder, step)
        step += 1
        recent = torch.lerp(losses, recent, min(0.97, 1 - 1 / step))
        if clock.is_time_to_say():
            said = " ".join(f"{v:.3f}" for v in recent.tolist())
            print(f"vocoder step {step} {clock.used / 60:.1f} min  loss {said}", flush=True)
        if clock.is_time_to_keep():
            keep()
    keep(last=True)
