"""A GPU: what it computes beside the CPU, and what becomes of a session when it fails.

`scripts/check vulkan` and `scripts/check gpu` set LTX2_TEST_DEVICE; without that there is nothing
here to test. The parity tests run there on the same device.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from parity import DEVICE, build
from tolerance import Row, psnr

import ltx2
from ltx2.convert import convert

DEMO = sorted((Path(ltx2.__file__).parent / "demo").glob("*.gguf"))
PROMPT = "a red circle moves right on a blue background"
SMALL: ltx2.Options = {
    "width": 64, "height": 64, "frames": 9, "steps": 2, "seed": 1, "audio": False,
}  # fmt: skip

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "CPU", reason="LTX2_TEST_DEVICE names no GPU"),
]

CUDA = DEVICE.startswith("CUDA")
FAULTS = build() / "tests" / "vulkan_faults"  # a loader of Vulkan that fails
CUDA_FAULTS = build() / "tests" / "libltx2_cuda_faults.so"
# PSNR in dB, at least, of a device's frames against the CPU's; 54.2 is CUDA's on an H100, where
# Vulkan has 58.2, on lavapipe 60.7
VIDEO = Row(50.0, 54.2)


def test_devices_are_tried() -> None:
    mine = {device["name"]: device for device in ltx2.try_devices()}[DEVICE]
    assert mine["problem"] is None
    assert mine["error"] <= 5e-5  # 2.6e-5 on an H100, with CUDA and with Vulkan
    assert mine["speed"] > 0
    assert mine["lacks"] == []
    if mine["library"] == "Vulkan":
        assert re.search(r"\d+\.\d+", mine["driver"])  # its version


@pytest.mark.parametrize("kind", ["as it is", "f16", "q8_0"])
def test_the_demo_s_video_is_the_cpu_s(kind: str, tmp_path: Path) -> None:
    model = DEMO
    if kind != "as it is":
        model = [tmp_path / path.name for path in DEMO]
        for path, out in zip(DEMO, model, strict=True):
            convert(path, out, kind)
    frames = []
    for device in ("CPU", DEVICE):
        with ltx2.Session(model, device=device) as session:
            video = session.t2v(PROMPT, seed=3, width=128, height=128, frames=9)
            frames.append(video.frames)
    measured = psnr(frames[1], frames[0])
    print(f"{measured:.1f} dB")
    assert measured >= VIDEO.limit


# A session in a process of its own: three videos, as what each became.
THRICE = """
import json, sys, hashlib, ltx2
said = []
try:
    session = ltx2.Session(sys.argv[2:], device=sys.argv[1])
except ltx2.Error as error:
    print(json.dumps([type(error).__name__]))
    sys.exit()
for _ in range(3):
    try:
        size = dict(width=64, height=64, frames=9, audio=False)
        video = session.t2v("a red circle", steps=2, seed=1, **size)
        said.append(hashlib.sha256(video.frames.tobytes()).hexdigest())
    except ltx2.Error as error:
        said.append(type(error).__name__)
session.close()
print(json.dumps(said))
"""


def faulty(fault: str, counts: Path) -> dict[str, str]:
    """The environment in which the device's own library fails."""
    if CUDA:
        return {
            "LTX2_CUDA_FAULT": fault,
            "LTX2_CUDA_COUNTS": str(counts),
            "LD_PRELOAD": str(CUDA_FAULTS),
        }
    real = next(
        line.split()[-1]
        for line in subprocess.check_output(["ldconfig", "-p"], text=True).splitlines()
        if line.strip().startswith("libvulkan.so.1 ")
    )
    return {
        "LTX2_VULKAN_REAL": real,
        "LTX2_VULKAN_FAULT": fault,
        "LTX2_VULKAN_COUNTS": str(counts),
        "LD_LIBRARY_PATH": f"{FAULTS}:{os.environ.get('LD_LIBRARY_PATH', '')}",
    }


def thrice(folder: Path, fault: str = "") -> tuple[list[str], list[int]]:
    """What became of three videos, and how many launches and allocations there were."""
    counts = folder / "counts"
    command = [sys.executable, "-c", THRICE, DEVICE, *map(str, DEMO)]
    env = os.environ | faulty(fault, counts)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (fault, done.stderr)
    numbers = [int(word) for word in counts.read_text().split()]
    counts.unlink()
    return json.loads(done.stdout), numbers


@pytest.fixture(scope="module")
def whole(folder: Path) -> tuple[list[str], list[int]]:
    """Without a fault."""
    hashes, numbers = thrice(folder)
    assert len(set(hashes)) == 1
    assert len(hashes[0]) == 64
    assert min(numbers) > 10
    return hashes, numbers


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_of_a_lost_device_the_session_says_so(
    share: float, folder: Path, whole: tuple[list[str], list[int]]
) -> None:
    hashes, (launches, _) = whole
    said, _ = thrice(folder, f"{'launch' if CUDA else 'submit'}={1 + int(share * launches)}")
    good = [word for word in said if word == hashes[0]]
    assert said == good + ["DeviceError"] * (len(said) - len(good))
    assert len(good) < 3


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_where_its_memory_runs_out_the_next_video_is_right(
    share: float, folder: Path, whole: tuple[list[str], list[int]]
) -> None:
    hashes, (_, allocations) = whole
    said, _ = thrice(folder, f"allocate={1 + int(share * allocations)}")
    if len(said) == 1:  # the session did not open
        assert said == ["OutOfMemoryError"]
        return
    assert said.count("OutOfMemoryError") <= 1
    assert [word for word in said if word != "OutOfMemoryError"] == hashes[: len(said)][
        : 3 - said.count("OutOfMemoryError")
    ]


NO_VULKAN = (
    {"VK_ICD_FILENAMES": "/dev/null", "VK_DRIVER_FILES": "/dev/null"},
    {"GGML_DISABLE_VULKAN": "1"},
    {"LD_LIBRARY_PATH": str(FAULTS), "LTX2_VULKAN_REAL": "/nowhere"},  # it knows no function
)


NO_CUDA = (
    {"CUDA_VISIBLE_DEVICES": ""},
    {"CUDA_VISIBLE_DEVICES": "", "LD_PRELOAD": str(CUDA_FAULTS)},
)


@pytest.mark.parametrize("broken", NO_CUDA if CUDA else NO_VULKAN)
def test_without_a_driver_or_a_loader_there_is_the_cpu(broken: dict[str, str]) -> None:
    env = os.environ | broken
    command = [sys.executable, "-c", "import ltx2; print(ltx2.devices())"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "['CPU']\n", "")


def test_the_frames_are_the_same_again() -> None:
    with ltx2.Session(DEMO, device=DEVICE) as session:
        videos = [session.t2v(PROMPT, **SMALL).frames for _ in range(2)]
    assert np.array_equal(videos[0], videos[1])
