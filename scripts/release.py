#!/usr/bin/env python3
"""The release of a tag, with its section of CHANGELOG.md as notes: release.py v1.2.0 [DIST]

Without DIST, the folder of files to attach, the notes are only printed. Needs `gh`, signed in.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes(changelog: str, version: str) -> str:
    """What stands below the version's heading, up to the next one."""
    heading = rf"^## \[?{re.escape(version)}\]?(?: [^\n]*)?\n(.*?)(?=^## |\Z)"
    found = re.search(heading, changelog, re.MULTILINE | re.DOTALL)
    text = found[1].strip() if found else ""
    if not text:
        raise SystemExit(f"CHANGELOG.md: says nothing of {version}")
    return text + "\n"


def checked(tag: str, source: str) -> str:
    """The version of the tag, which must be the package's."""
    version: str = re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE)[0]
    if tag != f"v{version}":
        raise SystemExit(f"{tag}: the package is of version {version}")
    return version


def main(tag: str, dist: str | None = None) -> None:
    version = checked(tag, (ROOT / "ltx2" / "__init__.py").read_text(encoding="utf-8"))
    text = notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    if dist is None:
        print(text, end="")
        return
    files = sorted(map(str, Path(dist).iterdir()))
    create = ["gh", "release", "create", tag, "--verify-tag", "--title", tag, "--notes-file", "-"]
    subprocess.run([*create, *files], input=text, text=True, check=True)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
