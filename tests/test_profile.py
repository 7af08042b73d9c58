"""What took how long, as a file that Perfetto opens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ltx2

SMALL: dict[str, Any] = {"width": 64, "height": 64, "frames": 9, "steps": 2, "seed": 1}


def events_of(path: Path) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
    return events


def test_a_trace_has_stages_in_them_blocks_and_in_those_kernels(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    with ltx2.Session() as session:
        plain = session.t2v("a red circle", audio=False, **SMALL)
        video = session.t2v("a red circle", audio=False, profile=path, **SMALL)
    assert np.array_equal(video.frames, plain.frames)
    tracks = {e["tid"]: e["args"]["name"] for e in events_of(path) if e["ph"] == "M"}
    spans: dict[str, list[tuple[float, float, str]]] = {kind: [] for kind in tracks.values()}
    for e in events_of(path):
        if e["ph"] == "X":
            spans[tracks[e["tid"]]].append((e["ts"], e["ts"] + e["dur"], e["name"]))
    stages = dict.fromkeys(name for _, _, name in spans["stage"])
    assert [name for name in stages if name != "load"] == ["text", "denoise", "decode"]
    names = {name for _, _, name in spans["graph"]}
    assert {"transformer_blocks.0", "layers.0"} <= names
    assert any(name.startswith(("conv", "winograd")) for *_, name in spans["node"])
    for outer, inner in (("stage", "graph"), ("graph", "node")):
        for begin, end, name in spans[inner]:
            within = [b - 1 <= begin and end <= e + 1 for b, e, _ in spans[outer]]
            assert any(within), (inner, name)


def test_a_trace_is_written_where_a_run_ends_early(tmp_path: Path) -> None:
    def stop(progress: ltx2.Progress) -> None:
        if progress.stage == "decode":
            raise ZeroDivisionError

    path = tmp_path / "trace.json"
    with ltx2.Session() as session:
        with pytest.raises(ZeroDivisionError):
            session.t2v("a red circle", audio=False, profile=path, progress=stop, **SMALL)
        assert any(e["name"] == "denoise" for e in events_of(path))
        with pytest.raises(ltx2.InvalidArgumentError, match="there is no folder"):
            session.t2v("a red circle", profile=tmp_path / "nowhere" / "a.json", **SMALL)
