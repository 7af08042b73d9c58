"""Where the native library is.

A library folder holds the library and the `ltx2.h` it was built with, flat or as an install tree
(lib/, include/). The first of these that has both is used:

1. the folder named by the environment variable LTX2_LIBRARY;
2. native/ in this package, as installed by pip;
3. prebuilds/<platform>/ in a checkout, as made by scripts/build;
4. native/ in the installed package, where a checkout's package hides it, as in its own folder.

In a checkout, those whose ltx2.h is not the checkout's are passed over, but for the first.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIBRARY = {"win32": "ltx2.dll", "darwin": "libltx2.dylib"}.get(sys.platform, "libltx2.so")


def _platform() -> str:
    """The name of this platform's folder in prebuilds/, such as linux-x64."""
    names = {"AMD64": "x64", "x86_64": "x64", "aarch64": "arm64"}
    machine = names.get(platform.machine(), platform.machine())
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, sys.platform)
    return f"{system}-{machine}"


def _folders() -> Iterator[Path]:
    if chosen := os.environ.get("LTX2_LIBRARY"):
        yield Path(chosen)
        return  # a folder asked for by name is not silently replaced by another
    # An editable install has two package folders: the checkout's and the one with the library.
    for package in sys.modules[__package__].__path__:
        yield Path(package) / "native"
    yield Path(__file__).parents[1] / "prebuilds" / _platform()
    from importlib import metadata  # slow to load, and most do not come so far

    with contextlib.suppress(metadata.PackageNotFoundError):
        yield Path(str(metadata.distribution("ltx2").locate_file("ltx2/native")))


def find() -> tuple[Path, Path]:
    """The library and its header."""
    places = []
    for folder in _folders():
        libraries = [folder / sub / _LIBRARY for sub in ("", "lib", "lib64", "bin")]
        headers = [folder / sub / "ltx2.h" for sub in ("", "include")]
        library = next(filter(Path.is_file, libraries), None)
        header = next(filter(Path.is_file, headers), None)
        if library and header and _fits(header):
            return library, header
        places.append(f"{folder}, of another ltx2.h" if library and header else f"{folder}")
    raise ImportError(
        f"ltx2: {_LIBRARY} with ltx2.h is in none of: {'; '.join(places)}; "
        f"`{sys.executable} -m pip install .` or scripts/build makes it, LTX2_LIBRARY names a "
        "folder that has it"
    )


def _fits(header: Path) -> bool:
    """A checkout that is newer than what was installed from it may need more than that has."""
    source = Path(__file__).parents[1] / "native" / "include" / "ltx2.h"
    chosen = os.environ.get("LTX2_LIBRARY")
    return bool(chosen) or not source.is_file() or header.read_bytes() == source.read_bytes()
