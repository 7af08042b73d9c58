"""Stage: text encoder, projections, connectors and diffusion transformer, together.

Rectified flow on the normalised latents of video and sound, both at one noise level, as they are
sampled.  Clips are encoded once and kept on the device.  One prompt in ten is empty (for
guidance); in a quarter of the batches the first latent frame is given clean (image to video);
some batches have no sound, since a clip may be asked for without it.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from model import Size, Stream, TextToClip, attention, in_bfloat16
from optim import Average, Clock, learning_rate, make_optimizers, save, step_all
from pool import Batch, Maker, Pool, Source, encode
from text import Prompts, prompts_in
from torch import nn
from world import training_scene

EMPTY_PROMPTS, FIRST_FRAMES, SILENT = 0.1, 0.25, 0.15
DECIDED = 2.9  # logit of the noise level at which a still of 64 tokens is decided
FILL = 0.25  # of the time for encoding clips before the first step, at most
REFILL = 0.05  # share of the time in which new clips take the place of the oldest
AHEAD = 3  # steps that may wait in the device's queue


@dataclass(frozen=True)
class Bucket:
    """Clips of one size, and in which share of the steps they are seen, at first and at last."""

    size: Size
    clips: int
    share: float
    last: float | None = None  # where it is another
    low: bool = False  # mostly the noise levels at which a second stage refines

    def share_at(self, progress: float) -> float:
        """At a share of the time."""
        last = self.share if self.last is None else self.last
        return self.share + (last - self.share) * progress


# What a sentence means is learned soonest from small clips, of which a step holds many.
BUCKETS = [
    Bucket(Size(49, 256, 256), 6000, 0.45),
    Bucket(Size(25, 128, 128), 4000, 0.18),
    Bucket(Size(49, 128, 128), 4000, 0.15),
    Bucket(Size(49, 192, 192), 600, 0.05),
    Bucket(Size(25, 256, 256), 300, 0.04),
    Bucket(Size(1, 256, 256), 400, 0.02),
    Bucket(Size(97, 256, 256), 120, 0.02),
    Bucket(Size(25, 256, 384), 200, 0.025),
    Bucket(Size(25, 384, 256), 200, 0.025),
    Bucket(Size(49, 512, 512), 200, 0.04, low=True),
]
# Fewer kinds for a CPU, each compiled but the last; what `encode` writes fills them. A step holds
# thirty stills: from them outlines are learned.
CPU_BUCKETS = [
    Bucket(Size(1, 256, 256), 8000, 0.3, 0.1),
    Bucket(Size(25, 128, 128), 8000, 0.2, 0.04),
    Bucket(Size(49, 128, 128), 6000, 0.2, 0.08),
    Bucket(Size(49, 256, 256), 2000, 0.3, 0.74),
    Bucket(Size(49, 512, 512), 60, 0.0, 0.04, low=True),
]
# What words say is learnt from narrow scenes, in many small steps: colour and motion from small
# clips at first, outlines from stills at last.
NARROW_BUCKETS = [
    Bucket(Size(25, 128, 128), 8000, 0.6, 0.2),
    Bucket(Size(49, 128, 128), 6000, 0.2, 0.1),
    Bucket(Size(1, 256, 256), 8000, 0.1, 0.6),
    Bucket(Size(49, 256, 256), 2000, 0.1),
]
# Of the time in which they are encoded.
CPU_SHARES = {
    bucket.size: share for bucket, share in zip(CPU_BUCKETS, (1, 2, 3, 5, 1), strict=True)
}
NARROW_SHARES = {
    bucket.size: share for bucket, share in zip(NARROW_BUCKETS, (6, 3, 1, 2), strict=True)
}


def scenes_of(spread: float) -> Maker:
    return partial(training_scene, spread=spread)


def clips_of(folder: Path, spread: float) -> Path:
    return folder / ("clips" if spread == 1 else f"clips-{spread:g}")


def draw_sigmas(count: int, device: str, tokens: int, low: bool) -> torch.Tensor:
    """Mostly where shape, place and motion are decided: the more tokens show them, the noisier.

    A latent has so much room for what it shows that little noise hides nothing of it.
    """
    decided = DECIDED + 0.5 * math.log(tokens / 64)
    usual = torch.sigmoid(decided + 0.9 * torch.randn(count, device=device))
    broad = torch.sigmoid(1.6 + 1.6 * torch.randn(count, device=device))
    chance = torch.rand(count, device=device)
    even = torch.rand(count, device=device)
    if low:
        return torch.where(chance < 0.8, 0.02 + 0.92 * even, broad)
    return torch.where(chance < 0.65, usual, torch.where(chance < 0.9, broad, even))


def flow_loss(
    model: TextToClip, batch: Batch, size: Size, given: int, silent: bool, low: bool = False
) -> torch.Tensor:
    """Of the velocity from data to noise, of what is not given."""
    sigma = draw_sigmas(len(batch.video), str(batch.video.device), size.tokens, low)
    level = sigma[:, None, None]
    clean, sound = batch.video, batch.sound
    noise, sound_noise = torch.randn_like(clean), torch.randn_like(sound)
    noisy = torch.lerp(clean, noise, level)
    if given:
        noisy = torch.cat([clean[:, :given], noisy[:, given:]], 1)
    kind = model.dit.proj_out.weight.dtype
    context, sound_context = model.context(batch.ids, batch.lengths)
    video = Stream(noisy.to(kind), context, given)
    audio = Stream(torch.lerp(sound, sound_noise, level).to(kind), sound_context)
    v, a = model.velocity(size, sigma, video, None if silent else audio)
    loss = (v.float() - (noise - clean))[:, given:].pow(2).mean()
    if a is not None:
        loss = loss + (a.float() - (sound_noise - sound)).pow(2).mean()
    return loss


class Working:
    """A copy of the model in bfloat16 that computes; the weights that learn stay in float32.

    Both lie in one piece of memory each, as do the gradients, so that a step moves them at once.
    """

    def __init__(self, model: TextToClip) -> None:
        self.model = in_bfloat16(copy.deepcopy(model))
        self.learning, self.computing = list(model.parameters()), list(self.model.parameters())
        self.weights, self.copies = _in_one_piece(self.learning), _in_one_piece(self.computing)
        self.gradient = torch.zeros_like(self.weights)
        sizes = [p.numel() for p in self.learning]
        parts = self.gradient.split(sizes)
        self.parts = [part.view_as(p) for part, p in zip(parts, self.learning, strict=True)]

    def backward(
        self, loss: Callable[[TextToClip], torch.Tensor]
    ) -> tuple[torch.Tensor, list[bool]]:
        """The loss, and which weights it depends on; their gradients are in `gradient`."""
        for p in self.computing:
            p.grad = None
        value = loss(self.model)
        value.backward()
        used = [p.grad is not None for p in self.computing]
        rows = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.computing]
        self.gradient.copy_(torch.cat([row.flatten() for row in rows]))
        if dist.is_initialized():  # the mean over the processes
            dist.all_reduce(self.gradient)
            self.gradient /= dist.get_world_size()
            everywhere = torch.tensor(used, dtype=torch.int32)
            dist.all_reduce(everywhere)
            used = [bool(count) for count in everywhere]
        return value.detach(), used

    def hand_over(self, used: list[bool]) -> None:
        for p, part, has in zip(self.learning, self.parts, used, strict=True):
            p.grad = part if has else None

    def refresh(self) -> None:
        self.copies.copy_(self.weights)


def _in_one_piece(parameters: list[nn.Parameter]) -> torch.Tensor:
    whole = torch.cat([p.detach().flatten() for p in parameters])
    for p, part in zip(parameters, whole.split([p.numel() for p in parameters]), strict=True):
        p.data = part.view_as(p)
    return whole


class Captured:
    """A step's loss and gradients as one CUDA graph, so that nothing is launched from Python."""

    def __init__(
        self, working: Working, loss: Callable[[TextToClip], torch.Tensor], memory: Any
    ) -> None:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # what is made once only, as tables, is made here
            working.backward(loss)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=memory):
            self.loss, self.used = working.backward(loss)

    def __call__(self) -> tuple[torch.Tensor, list[bool]]:
        self.graph.replay()
        return self.loss.clone(), self.used


class Trainer:
    """Everything a step needs; its state can be saved and taken up again."""

    def __init__(self, folder: Path, out: Path, options: Options) -> None:
        self.folder, self.options, self.device = folder, options, options.device
        self.prompts = prompts_in(out / "gemma")
        torch.manual_seed(2)
        self.model = TextToClip(self.prompts.size).to(self.device)
        self.average = Average(self.model)
        self.optimizers = make_optimizers([self.model], options.lr, options.muon_lr)
        self.step, self.used = 0, 0.0
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.resume = folder / "dit-train.pt"
        state = {}
        if self.resume.exists():
            state = torch.load(self.resume, weights_only=False, map_location=self.device)
        if state.get("spread") == options.spread:
            self.model.load_state_dict(state["model"])
            self.average.values = state["average"]
            for o, s in zip(self.optimizers, state["optimizers"], strict=True):
                o.load_state_dict(s)
            self.step, self.used = state["step"], state["used"]
        elif (folder / "dit.pt").exists():  # of other scenes, from which a new stage begins
            weights = torch.load(folder / "dit.pt", map_location=self.device)
            self.model.load_state_dict(weights)
            self.average = Average(self.model)
        self.working = Working(self.model)
        self.tokens = options.tokens
        self.buckets = BUCKETS if self.on_cuda else CPU_BUCKETS
        if options.spread < 1:
            self.buckets = NARROW_BUCKETS
        self.graphs: dict[Any, Captured] = {}
        self.memory = torch.cuda.graph_pool_handle() if self.on_cuda and options.graphs else None
        if options.compile:
            usual = self.buckets[:1] if self.on_cuda else CPU_BUCKETS[:-1]
            sizes = [bucket.size for bucket in usual]
            self.working.model.compile_for(*sizes)

    @property
    def on_cuda(self) -> bool:
        return self.device.startswith("cuda")

    def fill(self, most: float) -> None:
        """Every bucket, in about so many seconds at most, and what a clip of the first one cost."""
        self.pools: list[Pool] = []
        if not self.on_cuda:
            self.pools = [Pool(bucket.size, bucket.clips, self.device) for bucket in self.buckets]
            self.read()
            return
        self.source = Source(self.folder, self.prompts, self.device, 13 + self.step)
        for bucket in self.buckets:
            count = max(2, round(bucket.clips * self.options.clips))
            pool = Pool(bucket.size, count, self.device)
            began = time.monotonic()
            self.source.fill(pool, count, scenes_of(self.options.spread), most * bucket.share)
            spent = time.monotonic() - began
            if not self.pools:
                self.seconds_per_clip = spent / pool.made
            self.pools.append(pool)
            print(f"dit pool {bucket.size}: {pool.made} clips in {spent:.1f} s", flush=True)

    def read(self) -> None:
        """What `encode` has written, and goes on writing."""
        while True:
            for pool in self.pools:
                pool.read(clips_of(self.folder, self.options.spread))
            first = zip(self.buckets, self.pools, strict=True)  # those that are seen at first
            if all(pool.made or not bucket.share for bucket, pool in first):
                return
            time.sleep(5)

    def keep(self, used: float) -> None:
        save(
            self.resume,
            {
                "model": self.model.state_dict(),
                "average": self.average.values,
                "optimizers": [o.state_dict() for o in self.optimizers],
                "step": self.step,
                "used": used,
                "spread": self.options.spread,
            },
        )
        save(self.folder / "dit.pt", self.average.values)

    def gradients(self, rng: np.random.Generator, progress: float) -> torch.Tensor:
        """Of a batch of one kind; a size that is seen often has its step captured."""
        shares = np.array(
            [
                bucket.share_at(progress) if pool.made else 0.0
                for bucket, pool in zip(self.buckets, self.pools, strict=True)
            ]
        )
        which = int(rng.choice(len(shares), p=shares / shares.sum()))
        bucket, pool = self.buckets[which], self.pools[which]
        size = bucket.size
        given = size.first if size.frames > 1 and rng.random() < FIRST_FRAMES else 0
        silent = bool(rng.random() < SILENT)
        count = max(2, round(self.tokens / (size.tokens + size.sounds)))

        def loss(model: TextToClip) -> torch.Tensor:
            batch = pool.draw(count)
            keep = torch.rand(count, device=self.device) >= EMPTY_PROMPTS
            # Of an empty prompt only the first id is left, which every text begins with.
            lengths = torch.where(keep, batch.lengths, torch.ones_like(batch.lengths))
            batch = replace(batch, lengths=lengths)
            return flow_loss(model, batch, size, given, silent, bucket.low)

        value, used = self.captured((which, given, silent), loss) or self.working.backward(loss)
        self.working.hand_over(used)
        return value

    def captured(
        self, kind: tuple[int, int, bool], loss: Callable[[TextToClip], torch.Tensor]
    ) -> tuple[torch.Tensor, list[bool]] | None:
        """By a graph, captured when a kind of batch is first seen; nothing where that fails."""
        if self.memory is None:
            return None
        try:
            if kind not in self.graphs:
                self.graphs[kind] = Captured(self.working, loss, self.memory)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            print(f"dit: no graphs: {error}", flush=True)
            self.memory = None
            return None
        return self.graphs[kind]()

    def refill(self, seconds_per_step: float) -> None:
        """A few new clips now and then, as many as `REFILL` leaves time for."""
        if not self.on_cuda:
            if self.step % 50 == 49:
                self.read()
            return
        part = 16
        every = max(1, round(part * self.seconds_per_clip / (REFILL * seconds_per_step)))
        if self.step % every == every - 1:
            self.source.fill(self.pools[0], part, scenes_of(self.options.spread))

    def train(self, minutes: float) -> None:
        filling = time.monotonic()
        self.fill(FILL * minutes * 60)
        clock = Clock(minutes - (time.monotonic() - filling) / 60, self.used)
        losses: list[torch.Tensor] = []
        queue: list[torch.cuda.Event] = []
        began, first = clock.used, self.step
        torch.manual_seed(1000 * self.step + self.rank)
        while not self.is_done(clock):
            try:
                rng = np.random.default_rng((17, self.step, self.rank))
                losses.append(self.gradients(rng, clock.share))
            except torch.OutOfMemoryError:
                self.shrink()
                continue
            share = self.of_all(learning_rate(clock.share))
            step_all(
                self.optimizers,
                [self.options.muon_lr, self.options.lr],
                share,
                self.working.learning,
            )
            self.working.refresh()
            self.average.update(self.model, self.step)
            self.step += 1
            if self.on_cuda:
                queue.append(torch.cuda.Event())
                queue[-1].record()
                if len(queue) > AHEAD:
                    queue.pop(0).synchronize()
            self.refill((clock.used - began) / (self.step - first))
            if self.rank == 0 and clock.is_time_to_say():
                print(
                    f"dit step {self.step} {clock.used / 60:.1f} min  "
                    f"loss {float(torch.stack(losses).mean()):.4f}  lr {share:.3f}  "
                    f"{(clock.used - began) / (self.step - first):.3f} s/step",
                    flush=True,
                )
                losses = []
            if self.rank == 0 and clock.is_time_to_keep():
                self.keep(clock.used)
        if self.rank == 0:
            self.keep(clock.used)

    def of_all(self, value: float) -> float:
        """The first process's value, so that all do the same."""
        if not dist.is_initialized():
            return value
        told = torch.tensor([value])
        dist.broadcast(told, 0)
        return float(told)

    def is_done(self, clock: Clock) -> bool:
        return bool(self.of_all(float(clock.done)))

    def shrink(self) -> None:
        """Half the batch, where the device has no room for the whole."""
        self.tokens //= 2
        if self.tokens < 1000:
            raise MemoryError("the device has no room for two clips")
        self.graphs.clear()
        for p in self.working.computing:
            p.grad = None
        torch.cuda.empty_cache()
        if self.memory is not None:
            self.memory = torch.cuda.graph_pool_handle()
        print(f"dit: out of memory; now {self.tokens} tokens a step", flush=True)


@dataclass(frozen=True)
class Options:
    device: str = "cpu"
    tokens: int = 2048  # of video and sound in a step
    clips: float = 1.0  # of what the buckets say
    compile: bool = False
    graphs: bool = True
    processes: int = 1  # on a CPU; each has a batch of its own
    spread: float = 1.0  # of the scenes: world.narrowed
    lr: float = 2e-3
    muon_lr: float = 3e-3


def _train(rank: int, folder: Path, out: Path, minutes: float, options: Options) -> None:
    torch.backends.cudnn.benchmark = True
    if options.device == "cpu":
        nn.functional.scaled_dot_product_attention = attention
    if options.processes > 1:
        torch.set_num_threads(1)
        torch.set_float32_matmul_precision("high")
        meeting = (folder / "meeting").absolute().as_uri()
        dist.init_process_group("gloo", meeting, rank=rank, world_size=options.processes)
    Trainer(folder, out, options).train(minutes)
    if options.processes > 1:
        dist.destroy_process_group()


def train(folder: Path, out: Path, minutes: float, options: Options) -> None:
    if options.processes == 1:
        _train(0, folder, out, minutes, options)
        return
    (folder / "meeting").unlink(missing_ok=True)
    given = (folder, out, minutes, options)
    torch.multiprocessing.spawn(_train, given, nprocs=options.processes)


def encode_clips(folder: Path, out: Path, minutes: float, device: str, spread: float) -> None:
    """The stage beside `dit` on a CPU."""
    clips = clips_of(folder, spread)
    seed = 13 + len(list(clips.glob("*")))
    source = Source(folder, prompts_in(out / "gemma"), device, seed)
    shares = CPU_SHARES if spread == 1 else NARROW_SHARES
    encode(clips, source, minutes, shares, scenes_of(spread))


def load_model(folder: Path, out: Path, device: str = "cpu") -> tuple[TextToClip, Prompts]:
    prompts = Prompts(out / "gemma")
    model = TextToClip(prompts.size)
    model.load_state_dict(torch.load(folder / "dit.pt", map_location="cpu"))
    return model.to(device).eval().requires_grad_(False), prompts
