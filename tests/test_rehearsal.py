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
from tiny_geometries import GEOMETRIES, model_config

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
