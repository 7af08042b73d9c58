"""The README as a package index shows it, which has none of the files that it refers to.

Each reference leads to that file, in this version, on the project's own page. scikit-build-core
calls this, as pyproject.toml says.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

REFERENCE = re.compile(r"(!?)(\[[^]]*\])\((?!https?:|#)([^)\s]+)\)")  # a picture's begins with !


def dynamic_metadata(_: Mapping[str, Any], project: Mapping[str, Any]) -> dict[str, Any]:
    page, version = project["urls"]["Source"], project["version"]

    def absolute(found: re.Match[str]) -> str:
        mark, text, path = found.groups()
        return f"{mark}{text}({page}/{'raw' if mark else 'blob'}/v{version}/{path})"

    readme = Path("README.md").read_text(encoding="utf-8")
    text = REFERENCE.sub(absolute, readme)
    return {"readme": {"content-type": "text/markdown", "text": text}}
