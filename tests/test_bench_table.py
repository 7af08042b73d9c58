"""The tables of measured speed in the pages are those of the committed rows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
import bench_table


@pytest.mark.parametrize("page", bench_table.PAGES, ids=lambda page: page.name)
def test_a_page_has_the_figures_of_the_rows(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<!-- bench_table: " in text
    assert bench_table.written(text) == text, "run scripts/bench_table.py"


def test_what_was_not_measured_is_a_dash_or_no_column() -> None:
    known = {field: None for _, field, _ in bench_table.COLUMNS}
    rows = [
        {**known, "part": "dit", "size": 256, "ours_s": 0.5, "ratio": None},
        {**known, "part": "dit", "size": 512, "ours_s": 1.0, "ratio": 2.5},
    ]
    assert bench_table.table(rows).splitlines() == [
        "| part | size | ltx2 s | ratio |",
        "| --- | --- | --- | --- |",
        "| dit | 256 | 0.500 | – |",
        "| dit | 512 | 1.000 | 2.50 |",
    ]
