"""scripts/soak.py: a run of the least length, and what it calls growth."""

from __future__ import annotations

import subprocess
import sys
from array import array
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "soak.py"
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
@pytest.mark.unsanitized
@pytest.mark.usefixtures("command")
def test_nothing_grows_while_everything_is_done_over_and_over(tmp_path: Path) -> None:
    line = [sys.executable, str(SCRIPT), "--minutes", "0"]
    ran = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not list(tmp_path.iterdir())


@linux
def test_what_grows_is_said() -> None:
    import soak

    even = {name: array("q", [1000] * 60) for name in soak.BOUNDS}
    assert soak.grown(even) == []
    for name, bound in soak.BOUNDS.items():
        step = bound // 40 + 2
        samples = {**even, name: array("q", range(1000, 1000 + 60 * step, step))}
        assert [words.split(" grew")[0] for words in soak.grown(samples)] == [name]
        once = array("q", [1000] * 5 + [1000 + 2 * bound] * 55)  # early, and then no more
        assert soak.grown({**even, name: once}) == []
