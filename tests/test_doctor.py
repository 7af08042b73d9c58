"""`ltx2 doctor`: nothing to do where all is well, and what to do where one thing is not."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import ltx2
from ltx2 import cli, doctor, media

if TYPE_CHECKING:
    from pathlib import Path

WHAT = {
    "ltx2", "library", "system", "instructions", "package", "device", "demo", "memory", "disk",
    "model", "video",
}  # fmt: skip


def asked(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = cli.main(["doctor", "--json"])
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, answer


def test_all_is_well_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert {line.split(": ")[0] for line in lines} == {f"ok  {what}" for what in WHAT}
    code, answer = asked(capsys)
    assert (code, answer["ok"]) == (0, True)
    assert {finding["what"] for finding in answer["findings"]} == WHAT
    ran = [finding["seen"] for finding in answer["findings"] if finding["what"] == "demo"]
    assert len(ran) == len(ltx2.devices())


class Usage(NamedTuple):
    free: float


def changed(name: str, patch: pytest.MonkeyPatch, folder: Path) -> str:
    """Spoil one thing; what the advice then says."""
    if name != "demo":  # whose run takes the longest
        patch.setattr(doctor, "demo_latents", lambda _device: np.load(doctor.GOLDEN))
    else:
        other = np.load(doctor.GOLDEN) * 1.1
        np.save(folder / "golden.npy", other)
        patch.setattr(doctor, "GOLDEN", folder / "golden.npy")
        return "its results are wrong; use another than --device CPU"
    if name == "device":
        bad = {**ltx2.try_devices()[0], "problem": "its results are wrong: NMSE 1"}
        patch.setattr(doctor, "try_devices", lambda: [bad])
        return "update its driver; until then it is not used"
    if name in ("package", "old package"):
        real = importlib.metadata.version

        def version(package: str) -> str:
            if package == "tqdm" and name == "package":
                raise importlib.metadata.PackageNotFoundError
            return "4.9.9" if package == "tqdm" else real(package)

        patch.setattr(importlib.metadata, "version", version)
        return "pip install 'tqdm>=4.66'"
    if name == "memory":
        patch.setattr(doctor, "SMALL_MEMORY", 1 << 60)
        return "close other programs: LTX-2.3 takes 2 GiB at least, with low_memory"
    if name == "disk":
        patch.setattr(shutil, "disk_usage", lambda _path: Usage(free=1e9))
        return "make room: a model takes 24 GB and more"
    if name == "model":
        patch.setenv("LTX2_MODEL", "no-such-model")
        return "unset LTX2_MODEL, or let it name what is there"

    def fails(*_given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    patch.setattr(media, "save", fails)
    return "see docs/troubleshooting.md"


@pytest.mark.parametrize(
    "name",
    ["demo", "device", "package", "old package", "memory", "disk", "model", "video"],
)
def test_what_is_wrong_is_named_with_what_to_do(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    advice = changed(name, monkeypatch, tmp_path)
    code, answer = asked(capsys)
    assert (code, answer["ok"]) == (1, False)
    wrong = [finding for finding in answer["findings"] if not finding["ok"]]
    assert {finding["advice"] for finding in wrong} == {advice}


def test_a_look_that_fails_does_not_end_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "demo_latents", lambda _device: np.load(doctor.GOLDEN))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as where it is not installed
    code, answer = asked(capsys)
    assert code == 1
    wrong = [finding["what"] for finding in answer["findings"] if not finding["ok"]]
    assert wrong == ["disk", "model"]
    assert {finding["what"] for finding in answer["findings"]} == WHAT
