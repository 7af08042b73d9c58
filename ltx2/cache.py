"""What is worth keeping from one run to the next, in the user's cache folder.

All of it can be made again. What cannot be read counts as not there, and nothing fails where it
cannot be written.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from . import writer
from .errors import Error


def folder() -> Path:
    """`$LTX2_CACHE`, else the place that the system has for such files. It may not exist yet.

    Raises OSError where there is none, as for a user of a container whom nothing names.
    """
    if named := os.environ.get("LTX2_CACHE"):
        return Path(named)
    try:
        home = Path.home()
    except RuntimeError:
        raise FileNotFoundError("cache: there is no home folder; LTX2_CACHE names one") from None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "ltx2"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "ltx2"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "ltx2"


def load(name: str) -> dict[str, Any]:
    """The JSON object kept under this name, or an empty one."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        kept = json.loads((folder() / name).read_text(encoding="utf-8"))
        if isinstance(kept, dict):
            return kept
    return {}


def store(name: str, values: dict[str, Any]) -> None:
    """Keep this JSON object."""
    with contextlib.suppress(OSError, Error):
        path = folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with writer.new_file(path) as temporary:
            temporary.write_text(json.dumps(values), encoding="utf-8")
