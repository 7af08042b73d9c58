"""A few whole calls on files whose structure was changed; `scripts/fuzz` runs many more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WHOLE = Path(__file__).parent / "fuzz" / "whole.py"


@pytest.mark.parametrize("call", ["generate", "convert"])
def test_whole_calls_on_changed_files_end_as_documented(
    call: str, tmp_path: Path, command: None
) -> None:
    line = [sys.executable, str(WHOLE), call, "--runs", "40", "--keep", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
