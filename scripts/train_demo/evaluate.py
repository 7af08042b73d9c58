"""The bars, measured on what `ltx2` makes of prompts whose combinations training never saw.

python scripts/train_demo evaluate --out FOLDER     # the GGUF files
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import hearing
import numpy as np
import vision
from PIL import Image
from scenes import FURS, LIGHTS, Shapes
from telling import Teller
from world import SEAS, bar_scenes, caption

import ltx2

SCENES = Path(__file__).with_name("scenes.npz")
SIDEWAYS = ("left", "right", "up left", "up right", "down left", "down right")


def prompts(count: int = 100) -> list[dict[str, str]]:
    """The held-out sentences and what each asks for, as tests/golden/demo-prompts.json has them."""
    rows = []
    for scene in bar_scenes(count):
        one = scene.things[0]
        rows.append(
            {
                "prompt": caption(scene),
                "shape": one.shape,
                "colour": one.colour,
                "background": scene.background,
                "motion": one.motion,
            }
        )
    return rows


def scene_prompts() -> list[tuple[str, str]]:
    """Sentences of the drawn scenes, and the kind that `telling` should see in each."""
    rows = [(text, light) for light in LIGHTS for text in SEAS[light]]
    rows += [
        (f"{'an' if fur == 'orange' else 'a'} {fur} cat {walks} {side} on grass", f"cat {side}")
        for fur in FURS
        for side in ("left", "right")
        for walks in ("walks", "walking")
    ]
    return rows


def is_heard(video: ltx2.Video, seen: vision.Seen) -> bool:
    """Whether the sound comes from where the picture shows the thing."""
    height, width = video.frames.shape[1:3]
    path = seen.path[:, 0] - width / 2 / min(height, width)
    return hearing.follows(np.asarray(video.audio), int(video.sample_rate or 0), path)


def judge(video: ltx2.Video, row: dict[str, str]) -> dict[str, bool]:
    """What of a prompt the clip shows and lets hear."""
    seen = vision.look(video.frames)
    verdict = vision.judge(seen, row["colour"], row["background"], row["motion"])
    found = {
        "picture": verdict.all,
        "colour": verdict.colour,
        "background": verdict.background,
        "motion": verdict.motion,
    }
    if video.audio is not None:
        rate = int(video.sample_rate or 0)
        found["pitch"] = hearing.pitch(np.asarray(video.audio), rate) == row["shape"]
        if row["motion"] in SIDEWAYS:
            found["stereo"] = not np.isnan(seen.path).any() and is_heard(video, seen)
    return found


def shares(found: list[dict[str, bool]]) -> dict[str, float]:
    """Percent of the clips, of those that each was asked of."""
    names = dict.fromkeys(itertools.chain.from_iterable(found))
    return {n: 100 * float(np.mean([f[n] for f in found if n in f])) for n in names}


def spread(clips: list[ltx2.Video]) -> dict[str, float]:
    """How much clips of one prompt differ: deviations of place and travel in shares of the
    shorter side, of size as a share of its mean."""
    looks = [vision.look(clip.frames) for clip in clips]
    places = np.array([np.nanmean(look.path, 0) for look in looks])
    sizes = np.sqrt([look.area.mean() for look in looks])
    travels = [np.linalg.norm(look.path[-1] - look.path[0]) for look in looks]
    return {
        "place": float(np.linalg.norm(places.std(0))),
        "size": float(sizes.std() / sizes.mean()),
        "travel": float(np.nanstd(travels)),
    }


def sheet(clips: list[np.ndarray], path: Path, columns: int = 4, stills: int = 5) -> None:
    """A contact sheet: each clip a row of stills, the rows in columns."""
    picks = np.linspace(0, clips[0].shape[0] - 1, stills).round().astype(int)
    rows = [np.concatenate([clip[i] for i in picks], axis=1) for clip in clips]
    while len(rows) % columns:
        rows.append(np.zeros_like(rows[0]))
    stacks = [np.concatenate(rows[c::columns], axis=0) for c in range(columns)]
    image = Image.fromarray(np.concatenate(stacks, axis=1))
    image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX).save(path)


def drawn(scene: Shapes, frames: int, size: int) -> np.ndarray:
    """The drawn clip, as uint8."""
    from drawing import draw

    clip = draw([scene], frames, size, size)[0]
    pixels: np.ndarray = ((clip + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 3, 0).numpy()
    return pixels


def _bars(session: ltx2.Session, out: Path, count: int) -> dict[str, Any]:
    found, stills = [], []
    for i, row in enumerate(prompts(count)):
        video = session.t2v(row["prompt"], seed=i)
        found.append(judge(video, row))
        stills.append(video.frames)
        print(i, row["prompt"], found[-1], flush=True)
    sheet(stills[:32], out / "t2v.png")
    return shares(found)


def _told(session: ltx2.Session, out: Path) -> dict[str, Any]:
    teller, stills = Teller.load(SCENES), []
    right, waves, steps = [], [], []
    for i, (text, kind) in enumerate(scene_prompts()):
        video = session.t2v(text, seed=i)
        right.append(teller(video.frames) == kind)
        stills.append(video.frames)
        if video.audio is not None:
            audio, rate = np.asarray(video.audio), int(video.sample_rate or 0)
            if kind.startswith("cat"):
                steps.append(hearing.is_steps(audio, rate))
            else:
                waves.append(hearing.is_waves(audio, rate))
        print(text, kind, right[-1], flush=True)
    sheet(stills, out / "scenes.png")
    heard = {"waves": waves, "steps": steps}
    return {"scenes": 100 * float(np.mean(right))} | {
        name: 100 * float(np.mean(values)) for name, values in heard.items() if values
    }


def _from_pictures(session: ltx2.Session, count: int) -> dict[str, Any]:
    found, first = [], []
    for i, (scene, row) in enumerate(zip(bar_scenes(count), prompts(count), strict=True)):
        picture = drawn(scene, 49, 256)[0]
        video = session.i2v(row["prompt"], picture, crf=0, seed=i)
        found.append(judge(video, row))
        first.append(vision.psnr(video.frames[0], picture))
    decibels = {"mean": float(np.mean(first)), "lowest": float(np.min(first))}
    return shares(found) | {"first_frame_db": decibels}


def _sharp(session: ltx2.Session, count: int) -> dict[str, float]:
    """Pixels of an edge at 512×512, in one stage and in two; of a drawing it is about 1."""
    widths: dict[str, list[float]] = {"one-stage": [], "two-stage": []}
    for i, row in enumerate(prompts(count)):
        for recipe, found in widths.items():
            video = session.t2v(
                row["prompt"], seed=i, width=512, height=512, recipe=recipe, audio=False
            )
            found.append(vision.edge_width(video.frames, row["colour"], row["background"]))
    return {recipe: float(np.median(found)) for recipe, found in widths.items()}


def evaluate(out: Path, count: int = 100) -> dict[str, Any]:
    """Prints and returns the shares (in percent) that agree with their prompts."""
    files = sorted(out.glob("*.gguf"))
    result: dict[str, Any] = {}
    with ltx2.Session(files) as session:
        result["t2v"] = _bars(session, out, count)
        result["scenes"] = _told(session, out)
        result["i2v"] = _from_pictures(session, max(count // 4, 1))
        clips = [session.t2v("a red circle on a blue background", seed=s) for s in range(6)]
        result["seeds"] = spread(clips)
        sheet([clip.frames for clip in clips], out / "seeds.png", 2)
        result["edges"] = _sharp(session, max(count // 10, 1))
    smile = sorted(out.glob("*smile*.safetensors"))
    if smile:
        with ltx2.Session(files, loras=smile) as session:
            rows = prompts(max(count // 10, 1))
            videos = [session.t2v(row["prompt"], seed=i) for i, row in enumerate(rows)]
            result["smiles"] = 100 * float(
                np.mean(
                    [
                        vision.marks(video.frames, row["colour"], row["background"]) > 0.02
                        for video, row in zip(videos, rows, strict=True)
                    ]
                )
            )
            sheet([video.frames for video in videos], out / "smile.png", 2)
    print(json.dumps(result, indent=1), flush=True)
    (out / "bars.json").write_text(json.dumps(result, indent=1) + "\n")
    return result
