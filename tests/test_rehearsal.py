"""scripts/rehearsal.py on a model of the same layers that is tiny."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
import memory_group
import rehearsal
import rehearsal_weights
import tiny_gemma4
from tiny_geometries import GEOMETRIES, model_config

import ltx2

SIZE = (64, 64, 9)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    geometry = copy.deepcopy(GEOMETRIES["base"])
    model = model_config("base"), geometry["gemma"], 2048
    return rehearsal_weights.make(
        tmp_path_factory.mktemp("weights"), model=model, registers=geometry["registers"]
    )


def test_the_full_size_is_the_librarys(tmp_path: Path) -> None:
    config, gemma, rows = rehearsal_weights.full_size()
    assert config["transformer"]["num_layers"] == gemma["num_hidden_layers"] == 48
    assert rows == 262208
    assert not list(tmp_path.iterdir())


def test_ltx_2_5_is_made_too(tmp_path: Path) -> None:
    config, gemma, _ = rehearsal_weights.full_size("2.5")
    assert config["transformer"]["num_layers"] == gemma["num_hidden_layers"] == 48
    transformer = model_config("v25")["transformer"]
    small = {**model_config("base"), "transformer": {**transformer, "caption_channels": 32}}
    text = tiny_gemma4.GEOMETRIES["shared"]["config"]
    model = rehearsal_weights.make(
        tmp_path, model=(small, text, tiny_gemma4.ROWS), registers=GEOMETRIES["v25"]["registers"]
    )
    with ltx2.Session(model) as session:
        clip = session.t2v("a red circle", width=64, height=64, frames=9, steps=1)
    assert clip.metadata["generation"] == "LTX-2.5"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.unsanitized
def test_a_sample_of_the_rehearsal(weights: Path) -> None:
    cases = [
        rehearsal.Case("open", "open"),
        rehearsal.Case("t2v", size=SIZE),
        rehearsal.Case("low", size=SIZE, low_memory=True),
        rehearsal.Case("decode", "decode", size=SIZE, cold=True),
    ]
    rows = {case.name: rehearsal.run(weights, case, threads=1) for case in cases}
    assert [row["status"] for row in rows.values()] == [0] * len(cases)
    assert rows["t2v"]["hash"] == rows["low"]["hash"] != rows["decode"]["hash"]
    assert {"load", "text", "denoise", "decode"} <= rows["t2v"]["spans"].keys()
    for row in rows.values():
        assert 0 < row["private"] < row["resident"] < 2000
    lines = rehearsal.table(list(rows.values())).splitlines()
    assert lines[0].startswith("| case | opening s | s | planned |")
    assert len(lines) == 2 + len(cases)


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
@pytest.mark.unsanitized
def test_a_case_keeps_within_the_limit_of_its_group(weights: Path) -> None:
    case = rehearsal.Case("low", size=SIZE, low_memory=True, limit=512)
    try:
        row = rehearsal.run(weights, case, threads=1)
    except memory_group.UnavailableError as error:
        pytest.skip(str(error))
    assert row["status"] == 0
    assert not row["group"] > case.limit
