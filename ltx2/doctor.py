"""What may keep ltx2 from working on this machine, looked at one thing after another."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__, _library, cache, hub, media
from .about import capabilities, devices, speed_words, try_devices
from .errors import Error
from .model_files import demo_files, model_files
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from .request import Options

# The run that every device must make as the stored latents are: they came from the CPU, all
# arithmetic in F32 (LTX2_EXACT=1).
GOLDEN = Path(__file__).with_name("demo") / "golden.npy"
PROMPT = "a red circle moves right on a blue background"
RUN: Options = {"width": 64, "height": 64, "frames": 9, "seed": 0}
CLOSE = 1e-3  # NMSE; measured: 1.4e-4 on the CPU, whose products round to 8 bits
SMALL_DISK, SMALL_MEMORY = 2e9, 4 * 2**30  # bytes below which little can be done


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was seen, and, where something is wrong, what to do about it."""

    what: str
    seen: str
    advice: str = ""

    @property
    def ok(self) -> bool:
        return not self.advice


def examine() -> Iterator[Finding]:
    """All findings; seconds, most of them for the demo's run on each device."""
    for look, what in _LOOKS.items():
        yield from _found(look, what)


def _found(look: Callable[[], Iterator[Finding]], what: str) -> Iterator[Finding]:
    try:
        yield from look()
    except Exception as error:  # a package that is missing or broken, too: the other looks go on
        yield Finding(what, str(error) or type(error).__name__, "see docs/troubleshooting.md")


def _program() -> Iterator[Finding]:
    known = capabilities()
    yield Finding("ltx2", f"{__version__} in {Path(__file__).parent}")
    where = f"{known['version']} in {_library.find()[0]}"
    same = known["version"] == __version__
    yield Finding("library", where, "" if same else "install ltx2 again; unset LTX2_LIBRARY")
    yield Finding("system", f"{platform.platform()}, Python {platform.python_version()}")
    best = known["instruction_sets"][-1]
    yield Finding("instructions", f"{best}, the best of {', '.join(known['instruction_sets'])}")


def _packages() -> Iterator[Finding]:
    try:
        wanted = importlib.metadata.requires("ltx2") or []
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        text = Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8")
        listed = text.partition("\ndependencies = [")[2].partition("\n]")[0]
        wanted = re.findall(r'"(.+?)"', listed)
    yield from (_package(line) for line in wanted if "extra ==" not in line)


def _package(wanted: str) -> Finding:
    """Of "NAME>=VERSION"."""
    name, _, least = wanted.partition(">=")
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding("package", f"{name} is missing", f"pip install '{wanted}'")
    old = _numbers(version) < _numbers(least)
    return Finding("package", f"{name} {version}", f"pip install '{wanted}'" if old else "")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _devices() -> Iterator[Finding]:
    for device in try_devices():
        seen = f"{device['name']}: {device['description']}"
        if device["problem"]:
            advice = "update its driver; until then it is not used"
            yield Finding("device", f"{seen}: {device['problem']}", advice)
            continue
        yield Finding("device", f"{seen}, {speed_words(device)}")


def _golden() -> Iterator[Finding]:
    import numpy as np

    right = np.load(GOLDEN)
    for device in devices():
        try:
            error = _off(demo_latents(device), right)
        except Error as failed:
            yield Finding("demo", f"on {device}: {failed}", f"use another than --device {device}")
            continue
        seen = f"on {device}: NMSE {error:.1e} from the stored values"
        wrong = f"its results are wrong; use another than --device {device}"
        yield Finding("demo", seen, "" if error <= CLOSE else wrong)


def demo_latents(device: str) -> NDArray[np.float32]:
    """Of the run that GOLDEN is of."""
    with Session(demo_files(), device=device) as session:
        latents = session.t2v(PROMPT, **RUN).latents
    assert latents is not None
    return latents


def _off(values: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    if values.shape != right.shape:
        return float("inf")
    return float(((values - right) ** 2).sum() / (right**2).sum())


def _memory() -> Iterator[Finding]:
    with Session(demo_files(), device="CPU") as session:
        have = session.plan(PROMPT, **RUN).get("available")
    if have is None:
        yield Finding("memory", "the system does not say how much there is")
        return
    few = "close other programs: LTX-2.3 takes 2 GiB at least, with low_memory"
    seen = f"{have / 2**30:.1f} GiB that this process may have"
    yield Finding("memory", seen, few if have < SMALL_MEMORY else "")


def _disks() -> Iterator[Finding]:
    places: dict[str, Callable[[], Path]] = {
        "downloads": hub.cache,
        "cache": cache.folder,
        "temporary files": lambda: Path(tempfile.gettempdir()),
    }
    for name, place in places.items():
        folder = place()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        advice = ""
        if not os.access(there, os.W_OK):
            advice = f"give yourself the right to write to {there}"
        elif free < SMALL_DISK:
            advice = f"make room: a model takes {next(hub.model_sets()).gb:.0f} GB and more"
        yield Finding("disk", f"{folder} for {name}: {free / 1e9:.1f} GB free", advice)


def _weights() -> Iterator[Finding]:
    named = os.environ.get("LTX2_MODEL")
    if named:
        files = list(map(str, model_files(None)))
        gone = not all(map(os.path.exists, files))
        advice = "unset LTX2_MODEL, or let it name what is there"
        yield Finding("model", f"LTX2_MODEL is {', '.join(files)}", advice if gone else "")
    here = [known for known in hub.model_sets() if all(item.path() for item in known.items)]
    for known in here:
        licences = "; ".join(f"{licence.title}, {licence.page}" for licence in known.licences)
        yield Finding("model", f"{known.name}: {known.gb:.1f} GB, under {licences}")
    if not here and not named:
        yield Finding("model", "the demo alone; `ltx2 list` shows what `ltx2 pull` can get")


def _files() -> Iterator[Finding]:
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "try.mp4"
        media.save(path, np.zeros((9, 64, 64, 3), np.uint8), 24.0, {})
        yield Finding("video", f"an .mp4 of {path.stat().st_size} bytes was written")


_LOOKS = {
    _program: "ltx2", _packages: "package", _devices: "device", _golden: "demo",
    _memory: "memory", _disks: "disk", _weights: "model", _files: "video",
}  # fmt: skip


if __name__ == "__main__":  # python -m ltx2.doctor: stores the golden values anew
    os.environ["LTX2_EXACT"] = "1"
    import numpy as np

    np.save(GOLDEN, demo_latents("CPU"))
    sys.stdout.write(f"{GOLDEN}\n")
