#!/usr/bin/env python3
"""LTX-2.3 or LTX-2.5 at its full size with random weights: what runs take, in memory and in time.

    scripts/rehearsal.py build/rehearsal                        # every case, and docs/memory.md
    scripts/rehearsal.py build/rehearsal --case t2v-512x320x25  # one, to look at
    scripts/rehearsal.py build/rehearsal25 --generation 2.5

The first call writes 17.9 GB of weights into the folder. Each case is a process of its own, under a
limit of memory that counts the page cache where the case has one. `private` is the highest
anonymous memory of the process, `resident` its highest resident set, mapped weights counted, and
`group` the highest use of its control group. Behind each stands what a plan said before, added to
what the process had then. The hash is of the frames: cases of one video must have one hash. The
last outcome of each case is kept in FOLDER/rows.json, and docs/memory.md has the table of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import memory_group
import rehearsal_weights

PAGE = Path(__file__).parent.parent / "docs" / "memory.md"
PLACE = r"(?<=^<!-- rehearsal {} -->\n).*?(?=^<!-- end -->)"
BEFORE = ("open", "opened")  # stages before the run
WORD = "a red circle moves right on a blue background "


@dataclasses.dataclass(frozen=True)
class Case:
    """One run: a video, a decode of noise as latents, or opening alone."""

    name: str
    what: str = "t2v"  # or "decode", "open"
    size: tuple[int, int, int] = (512, 320, 25)  # width, height, frames
    steps: int = 1
    words: int = 100  # of the prompt, about
    low_memory: bool = False
    limit: int = 0  # MiB; 0: none
    cold: bool = False  # the page cache has nothing of the weights


def _t2v(size: tuple[int, int, int], **more: Any) -> Case:
    name = "t2v-{}x{}x{}".format(*size)
    name += "-low" if more.get("low_memory") else ""
    name += f"-{more['limit']}M" if more.get("limit") else ""
    return Case(name + more.pop("also", ""), size=size, **more)


CASES = (
    Case("open-cold", "open", cold=True),
    Case("open", "open"),
    _t2v((64, 64, 9)),
    _t2v((64, 64, 9), low_memory=True, limit=2048),
    _t2v((64, 64, 9), words=1024, also="-long-prompt"),
    _t2v((256, 256, 17)),
    _t2v((704, 448, 9)),
    _t2v((512, 320, 25), steps=2),
    _t2v((512, 320, 25), steps=2, limit=4096),
    _t2v((512, 320, 25), steps=2, low_memory=True, limit=2048),
    _t2v((512, 768, 49)),
    _t2v((512, 768, 49), low_memory=True, limit=2048),
    _t2v((768, 512, 121)),
    Case("decode-256x256x17", "decode", (256, 256, 17)),
    Case("decode-512x768x121", "decode", (512, 768, 121)),
)


def _forget(folder: Path) -> None:
    """Drop the page cache of the weights, as far as nobody else has them mapped."""
    for path in folder.glob("*.gguf"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def _channels(folder: Path) -> int:
    import ltx2

    tensors = ltx2.describe(folder / "ltx.gguf")["tensor_list"]
    name = "vae.per_channel_statistics.mean-of-means"
    return int(next(t["shape"][0] for t in tensors if t["name"] == name))


def _takes() -> dict[str, float]:
    """What this process has now, in MiB."""
    return memory_group.read(Path("/proc/self/status"))


def child(folder: Path, case: Case, threads: int) -> None:
    """The measured process: one JSON object a stage, and of the plan and the outcome."""
    import numpy as np

    import ltx2

    stage = ""

    def progress(now: ltx2.Progress) -> None:
        nonlocal stage
        if now.stage != stage:
            stage = now.stage
            _say(stage=stage, at=time.monotonic())

    _say(stage="open", at=time.monotonic())
    with ltx2.Session(folder, threads=threads, low_memory=case.low_memory) as session:
        _say(stage="opened", at=time.monotonic())
        if case.what == "open":
            return
        width, height, frames = case.size
        prompt = (WORD * case.words)[: 6 * case.words]
        wanted: ltx2.Options = {
            "seed": 1, "width": width, "height": height, "frames": frames, "steps": case.steps,
            "schedule": "ltx2", "guidance": 1, "stg": 0, "rescale": 0,
        }  # fmt: skip
        before = _takes()
        _say(plan=session.plan(prompt, **wanted), before=before)
        if case.what == "t2v":
            video = session.t2v(prompt, progress=progress, **wanted)
        else:
            shape = (_channels(folder), (frames - 1) // 8 + 1, height // 32, width // 32)
            noise = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
            video = session.decode(noise, progress=progress)
        _say(stage="end", at=time.monotonic())
    _say(hash=hashlib.sha256(video.frames.tobytes()).hexdigest()[:12])


def _planned(case: Case, plan: dict[str, Any], before: dict[str, float]) -> dict[str, float]:
    """What the stages of this case were said to take: seconds, and MiB of the whole process."""
    stages = [s for s in plan["stages"] if case.what == "t2v" or s["stage"] == case.what]
    own = [(s["copied"] + s["activations"]) / memory_group.MIB for s in stages]
    whole = [a + s["mapped"] / memory_group.MIB for a, s in zip(own, stages, strict=True)]
    return {
        "planned seconds": sum(s["seconds"] for s in stages),
        "planned private": max(own) + before["private"],
        "planned resident": max(whole) + before["resident"],
    }


def run(folder: Path, case: Case, threads: int = 0) -> dict[str, Any]:
    """A case, measured."""
    if case.cold or case.limit:  # else its pages would count for whoever read them first
        _forget(folder)
    inner = [sys.executable, __file__, str(folder), "--threads", str(threads)]
    inner += ["--child", json.dumps(dataclasses.asdict(case))]
    spans: dict[str, float] = {}
    outcome: dict[str, Any] = {}
    with memory_group.limited(inner, case.limit) as (line, highest):
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        watch = memory_group.Watch(process)
        before: tuple[str, float] | None = None
        assert process.stdout
        for said in map(json.loads, process.stdout):
            if "plan" in said:
                outcome.update(_planned(case, **said))
                outcome["plan"] = said["plan"]["stages"]
            if "hash" in said:
                outcome.update(said)
            if "stage" not in said:
                continue
            if before:
                spans[before[0]] = spans.get(before[0], 0.0) + said["at"] - before[1]
            watch.stage, before = said["stage"], (said["stage"], said["at"])
        process.stdout.close()
        watch.end()
        outcome["group"] = highest()
    return {
        "case": case.name,
        "status": process.returncode,
        "seconds": sum(took for stage, took in spans.items() if stage not in BEFORE),
        "opening": spans.get("open", 0.0),
        **{name: max(watch.peaks[name].values(), default=0.0) for name in memory_group.FIELDS},
        **outcome,
        "spans": spans,
        "peaks": watch.peaks,
    }


# title, field, layout
COLUMNS = (
    ("case", "case", "{}"),
    ("opening s", "opening", "{:.2f}"),
    ("s", "seconds", "{:.1f}"),
    ("planned", "planned seconds", "{:.1f}"),
    ("private MiB", "private", "{:.0f}"),
    ("planned", "planned private", "{:.0f}"),
    ("resident MiB", "resident", "{:.0f}"),
    ("planned", "planned resident", "{:.0f}"),
    ("group MiB", "group", "{:.0f}"),
    ("frames", "hash", "{}"),
)


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [[title for title, _, _ in COLUMNS], ["---"] * len(COLUMNS)]
    for row in rows:
        cells = [(row.get(field), layout) for _, field, layout in COLUMNS]
        lines.append(["–" if v is None or v != v else layout.format(v) for v, layout in cells])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--generation", choices=("2.3", "2.5"), default="2.3")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        given = json.loads(args.child)
        child(args.folder, Case(**{**given, "size": tuple(given["size"])}), args.threads)
        return 0
    rehearsal_weights.make(args.folder, model=rehearsal_weights.full_size(args.generation))
    kept = args.folder / "rows.json"
    rows = json.loads(kept.read_text()) if kept.exists() else {}
    for case in CASES:
        if args.case and case.name not in args.case:
            continue
        rows[case.name] = run(args.folder, case, args.threads)
        print(json.dumps(rows[case.name]), file=sys.stderr)
        kept.write_text(json.dumps(rows))
    done = table([rows[case.name] for case in CASES if case.name in rows])
    page = PAGE.read_text(encoding="utf-8")
    place = re.compile(PLACE.format(re.escape(args.generation)), re.MULTILINE | re.DOTALL)
    PAGE.write_text(place.sub(lambda _: f"\n{done}\n", page), encoding="utf-8")
    print(done, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
