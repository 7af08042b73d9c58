#!/usr/bin/env python3
"""Write the tables of measured speed into docs/performance.md and README.md.

    scripts/bench_table.py

The figures come from the .jsonl files of docs, as `scripts/bench.py --save` wrote them: a first
record that says where, when and how they were measured, then one row per record. A page marks
where a table goes with `<!-- bench_table: bench.jsonl -->` and `<!-- end -->`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "docs" / "performance.md", ROOT / "README.md")
PLACE = re.compile(
    r"(?<=^<!-- bench_table: )(?P<what>\S+) -->\n.*?(?=^<!-- end -->)", re.MULTILINE | re.DOTALL
)
Row = dict[str, Any]

# title, the field it needs, its layout
COLUMNS = (
    ("part", "part", "{}"),
    ("weights", "type", "{}"),
    ("size", "size", "{}"),
    ("device", "device", "{}"),
    ("ltx2 s", "ours_s", "{:.3f}"),
    ("PyTorch s", "torch_s", "{:.3f}"),
    ("dtype", "torch_dtype", "{}"),
    ("ratio", "ratio", "{:.2f}"),
    ("OpenVINO s", "openvino_s", "{:.3f}"),
    ("form", "openvino_form", "{}"),
    ("ratio", "openvino_ratio", "{:.2f}"),
    ("plain s", "plain_s", "{:.3f}"),
    ("ratio", "plain_ratio", "{:.2f}"),
    ("error", "error", "{:.1e}"),
    ("PyTorch error", "torch_error", "{:.1e}"),
    ("OpenVINO error", "openvino_error", "{:.1e}"),
    ("of peak", "share_of_peak", "{:.2f} {peak}"),
    ("MiB", "peak_mib", "{:.0f}"),
    ("PyTorch MiB", "torch_mib", "{:.0f}"),
    ("OpenVINO MiB", "openvino_mib", "{:.0f}"),
    ("plain MiB", "plain_mib", "{:.0f}"),
)
SUMMARY_COLUMNS = (
    ("", "title", "{}"),
    ("weights", "type", "{}"),
    ("ltx2", "ours_s", "{:.2f} s"),
    ("PyTorch", "torch_s", "{:.2f} s"),
    ("vs PyTorch", "ratio", "{:.2f}×"),
    ("vs plain ggml", "plain_ratio", "{:.2f}×"),
)
# file, part, size, types, title
SUMMARY = (
    ("bench.jsonl", "dit", 2560, ("F16", "Q4_0"), "transformer block, 2,560 tokens"),
    ("bench.jsonl", "gemma", 256, ("Q4_0",), "text encoder layer, 256 tokens"),
    ("bench.jsonl", "decode", 8, ("F16",), "video decoder, 256×256, 17 frames"),
    ("bench.jsonl", "video", 192, ("F16", "Q4_0"), "whole video, 256×256, 17 frames, 8 steps"),
    (
        "bench.jsonl",
        "video unpadded",
        192,
        ("F16", "Q4_0"),
        "the same, without PyTorch's padding",
    ),
    ("bench-avx2.jsonl", "dit", 2560, ("F16", "Q4_0"), "transformer block, both limited to AVX2"),
)


def read(path: Path) -> tuple[dict[str, str], list[Row]]:
    """The conditions and the rows of a file that `bench.py --save` wrote."""
    conditions, *rows = [json.loads(line) for line in path.read_text().splitlines()]
    return conditions, rows


def table(rows: list[Row], columns: tuple[tuple[str, str, str], ...] = COLUMNS) -> str:
    """Markdown; – where a figure was not measured, and no column that would hold nothing else."""
    columns = tuple(c for c in columns if any(row.get(c[1]) is not None for row in rows))
    lines = [[title for title, _, _ in columns], ["---"] * len(columns)]
    for row in rows:
        cells = [(row.get(field), layout) for _, field, layout in columns]
        lines.append(["–" if v is None else layout.format(v, **row) for v, layout in cells])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def summary() -> str:
    rows = []
    for file, part, size, kinds, title in SUMMARY:
        found = {(r["part"], r["size"], r["type"]): r for r in read(ROOT / "docs" / file)[1]}
        rows += [{**found[part, size, kind], "title": title} for kind in kinds]
    return table(rows, SUMMARY_COLUMNS)


def written(page: str) -> str:
    """The text of a page with its tables made again."""

    def fill(place: re.Match[str]) -> str:
        what = place["what"]
        conditions, rows = read(ROOT / "docs" / ("bench.jsonl" if what == "summary" else what))
        made = summary() if what == "summary" else table(rows)
        measured = "{machine}, {date},\n`{command}`:".format(**conditions)
        return f"{what} -->\n\n{measured}\n\n{made}\n"

    return PLACE.sub(fill, page)


def main() -> None:
    for page in PAGES:
        page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
