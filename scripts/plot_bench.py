#!/usr/bin/env python3
"""Draw what scripts/bench.py measured: plot_bench.py docs/bench.jsonl [FOLDER]

bench-stages.png (a whole video, stage by stage), bench-ratio.png (each part against PyTorch and
against plain ggml operations) and bench-tokens.png (a DiT block's cost against its tokens).
"""

from __future__ import annotations

import sys
from pathlib import Path

import bench_table
import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

Rows = list[bench_table.Row]
COLOURS = {"F16": "#4878a8", "Q8_0": "#6aa84f", "Q4_0": "#e69138", "PyTorch": "#777777"}
STAGES = {"gemma": "#9fc5e8", "connector": "#6fa8dc", "denoise": "#e69138", "decode": "#93c47d"}


def stages(rows: Rows, path: Path) -> None:
    rows = [r for r in rows if r["part"].startswith("video ") and "unpadded" not in r["part"]]
    bars: dict[str, dict[str, float]] = {}
    for r in rows:
        stage = r["part"].split()[1]
        if r["torch_s"]:
            bars.setdefault(f"PyTorch\n{r['torch_dtype']}", {})  # the first row's: bfloat16
            next(iter(bars.values()))[stage] = r["torch_s"]
    for r in rows:
        stage = r["part"].split()[1]
        bars.setdefault(f"ltx2\n{r['type']}", {})[stage] = r["ours_s"]
        if r["plain_s"]:
            bars.setdefault(f"plain ggml\n{r['type']}", {})[stage] = r["plain_s"]
    bars = {name: parts for name, parts in bars.items() if parts}
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    bottom = [0.0] * len(bars)
    for stage, colour in STAGES.items():
        seconds = [parts[stage] for parts in bars.values()]
        axes.bar(list(bars), seconds, bottom=bottom, color=colour, label=stage)
        bottom = [b + s for b, s in zip(bottom, seconds, strict=True)]
    for i, total in enumerate(bottom):
        axes.text(i, total, f"{total:.0f} s", ha="center", va="bottom")
    axes.set_ylabel("seconds")
    axes.set_title("A video of 256 x 256 x 17, 8 steps, 48 blocks")
    axes.legend()
    figure.savefig(path, dpi=120)


def ratios(rows: Rows, path: Path) -> None:
    rows = [r for r in rows if r["type"] in COLOURS and r["ratio"]]
    whole = ("video", "video unpadded")
    rows = [r for r in rows if r["part"] in whole or " " not in r["part"]]
    names = list(dict.fromkeys((r["part"], r["size"]) for r in rows))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for axes, key, title in (
        (left, "ratio", "PyTorch's time / ltx2's"),
        (right, "plain_ratio", "plain ggml's time / ltx2's"),
    ):
        for i, kind in enumerate(("F16", "Q8_0", "Q4_0")):
            for r in rows:
                if r["type"] == kind and r[key]:
                    at = names.index((r["part"], r["size"])) + 0.25 * (i - 1)
                    axes.barh(at, r[key], 0.23, color=COLOURS[kind])
                    axes.text(r[key], at, f" {r[key]:.1f}", va="center", fontsize=8)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_title(title)
        axes.set_yticks(range(len(names)), [f"{part} {size}" for part, size in names])
    left.invert_yaxis()
    handles = [Rectangle((0, 0), 1, 1, color=COLOURS[k]) for k in ("F16", "Q8_0", "Q4_0")]
    figure.legend(handles, ["F16", "Q8_0", "Q4_0"], loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=120)


def tokens(rows: Rows, path: Path) -> None:
    rows = [r for r in rows if r["part"] == "dit"]
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for kind in ("F16", "Q8_0", "Q4_0"):
        points = sorted(
            (r["size"], 1e3 * r["ours_s"] / r["size"]) for r in rows if r["type"] == kind
        )
        axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[kind], label=f"ltx2 {kind}")
    if theirs := sorted(
        {(r["size"], 1e3 * r["torch_s"] / r["size"]) for r in rows if r["torch_s"]}
    ):
        dtype = next(r["torch_dtype"] for r in rows)
        axes.plot(
            *zip(*theirs, strict=True), "s--", color=COLOURS["PyTorch"], label=f"PyTorch {dtype}"
        )
    axes.set_xlabel("tokens")
    axes.set_ylabel("milliseconds a token")
    axes.set_ylim(bottom=0)
    axes.set_title("One DiT block")
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: plot_bench.py docs/bench.jsonl [FOLDER]")
    _, rows = bench_table.read(Path(sys.argv[1]))
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else ".")
    parts = {r["part"].split()[0] for r in rows}
    for part, draw, name in (
        ("video", stages, "stages"),
        (None, ratios, "ratio"),
        ("dit", tokens, "tokens"),
    ):
        if part is None or part in parts:
            draw(rows, folder / f"bench-{name}.png")
            print(folder / f"bench-{name}.png")


if __name__ == "__main__":
    main()
