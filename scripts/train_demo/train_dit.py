"""Stage 2: text encoder, projection, connector and diffusion transformer, together.

Rectified flow on the autoencoder's normalised latents, which are computed once and kept.  One
prompt in ten is empty (for guidance); in four samples of ten the first latent frame is given
clean with timestep 0 (image to video) and the loss is on the others.
"""

import time
from pathlib import Path

import numpy as np
import torch
from config import SAMPLING
from data import Scene, caption, render, training_scene
from model import TextToVideo, positions, to_tokens
from optim import Average, Threads, learning_rate, make_optimizers, save
from text import Prompts, build
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from train_vae import Vae, load

# (frames, height, width, clips, share of the steps)
BUCKETS = [
    (25, 128, 128, 1400, 0.84),
    (17, 128, 128, 80, 0.03),
    (33, 128, 128, 60, 0.03),
    (49, 128, 128, 40, 0.02),
    (25, 128, 192, 60, 0.03),
    (25, 192, 128, 60, 0.03),
    (25, 256, 256, 24, 0.02),
]
TOKENS_PER_BATCH = 2048
EMPTY_PROMPTS, FIRST_FRAMES = 0.1, 0.35


@torch.no_grad()
def encode_clips(vae: Vae, folder: Path) -> list[tuple[list[Scene], torch.Tensor]]:
    """Latents [clips, channels, frames, height, width] of each bucket, kept in `folder`."""
    buckets = []
    for frames, height, width, count, _ in BUCKETS:
        path = folder / f"latents-{frames}x{height}x{width}.pt"
        if not path.exists():
            rng = np.random.default_rng((13, frames, height, width))
            scenes = [training_scene(rng) for _ in range(count)]
            parts = []
            for i in range(0, count, 8):
                x = render(scenes[i : i + 8], frames, height, width)
                with torch.autocast("cpu", torch.bfloat16):
                    parts.append(vae.encoder(x).half())
            save(path, {"scenes": scenes, "latents": torch.cat(parts)})
            print(f"latents of {count} clips {frames}x{height}x{width}", flush=True)
        content = torch.load(path, weights_only=False)
        buckets.append((content["scenes"], content["latents"]))
    return buckets


def draw_sigmas(rng: np.random.Generator, count: int) -> torch.Tensor:
    """Logit-normal, shifted to the noisy side where shape and motion are decided."""
    logits = rng.normal(1.3, 1.5, count)
    s = 1 / (1 + np.exp(-logits))
    uniform = rng.random(count)
    return torch.from_numpy(np.where(rng.random(count) < 0.15, uniform, s)).float()


class Trainer:
    """Everything a step needs; its state can be saved and taken up again."""

    def __init__(self, folder: Path, out: Path, lr: float, muon_lr: float) -> None:
        self.folder = folder
        if not (out / "gemma" / "tokenizer.json").exists():
            build(out / "gemma")
        self.prompts = Prompts(out / "gemma")
        self.buckets = encode_clips(load(folder), folder)
        self.shares = np.array([b[-1] for b in BUCKETS])
        self.shares /= self.shares.sum()
        torch.manual_seed(2)
        self.model = TextToVideo(self.prompts.size)
        self.average = Average(self.model)
        self.peaks = [muon_lr, lr]
        self.optimizers = make_optimizers([self.model], lr, muon_lr)
        self.step, self.used = 0, 0.0
        self.resume = folder / "dit-train.pt"
        if self.resume.exists():
            state = torch.load(self.resume, weights_only=False)
            self.model.load_state_dict(state["model"])
            self.average.values = state["average"]
            for o, s in zip(self.optimizers, state["optimizers"], strict=True):
                o.load_state_dict(s)
            self.step, self.used = state["step"], state["used"]

    def keep(self) -> None:
        save(
            self.resume,
            {
                "model": self.model.state_dict(),
                "average": self.average.values,
                "optimizers": [o.state_dict() for o in self.optimizers],
                "step": self.step,
                "used": self.used,
            },
        )
        save(self.folder / "dit.pt", self.average.values)

    def loss(self) -> torch.Tensor:
        rng = np.random.default_rng((17, self.step))
        which = int(rng.choice(len(BUCKETS), p=self.shares))
        scenes, latents = self.buckets[which]
        frames, height, width = latents.shape[2:]
        tokens = frames * height * width
        count = max(4, TOKENS_PER_BATCH // tokens)
        chosen = rng.integers(len(scenes), size=count)
        texts = ["" if rng.random() < EMPTY_PROMPTS else caption(scenes[i], rng) for i in chosen]
        clean = to_tokens(latents[torch.from_numpy(chosen)].float())
        noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32))
        sigma = draw_sigmas(rng, count)
        # A batch is all of one kind: one timestep per clip is far cheaper than one per token.
        mask = None
        level, weight = sigma[:, None, None], torch.ones(tokens)
        if rng.random() < FIRST_FRAMES:
            weight[: height * width] = 0
            mask = weight.expand(count, -1)
            level = level * mask[..., None]
        noisy = (1 - level) * clean + level * noise
        grid = positions(frames, height, width, SAMPLING["fps"])
        # For so few tokens the plain attention is the quicker one to go back through.
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            context = self.model.context(*self.prompts(texts))
            v = self.model.velocity(noisy.bfloat16(), sigma, mask, grid, context)
        error = (v.float() - (noise - clean)).pow(2).mean((0, 2))
        return (error * weight).sum() / weight.sum()

    def train(self, minutes: float) -> None:
        saved, losses, threads = self.used, [], Threads(torch.get_num_threads())
        while self.used < minutes * 60:
            began, busy = time.monotonic(), time.process_time()
            share = learning_rate(self.used / (minutes * 60))
            for o, peak in zip(self.optimizers, self.peaks, strict=True):
                for group in o.param_groups:
                    group["lr"] = peak * share
                o.zero_grad()
            loss = self.loss()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for o in self.optimizers:
                o.step()
            self.average.update(self.model, self.step, 0.996)
            self.step += 1
            losses.append(float(loss.detach()))
            threads.step(time.monotonic() - began)
            self.used += (time.process_time() - busy) / torch.get_num_threads()
            if self.step % 100 == 0:
                print(
                    f"dit step {self.step} {self.used / 60:.1f} min  "
                    f"loss {np.mean(losses[-100:]):.4f}  lr {share:.3f}",
                    flush=True,
                )
            if self.used - saved > 150:
                saved = self.used
                self.keep()
        self.keep()


def train(folder: Path, out: Path, minutes: float, lr: float, muon_lr: float) -> None:
    Trainer(folder, out, lr, muon_lr).train(minutes)


def load_model(folder: Path, out: Path) -> tuple[TextToVideo, Prompts]:
    prompts = Prompts(out / "gemma")
    model = TextToVideo(prompts.size)
    model.load_state_dict(torch.load(folder / "dit.pt"))
    return model.eval().requires_grad_(False), prompts
