"""Fetch one pinned source archive with pip, check its SHA-256, print its path."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path


def main(package: str, sha256: str, folder: str) -> None:
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        pip = ["pip"]  # an isolated build environment has no pip module of its own
    # pip builds the archive's metadata first, with build requirements that may come as wheels.
    options = ["--no-deps", "--no-binary", package.split("==")[0], "--quiet"]
    subprocess.run(
        [*pip, "download", *options, package, "-d", folder],
        check=True,
        stdout=sys.stderr,
    )
    for archive in target.glob("*.tar.gz"):
        if hashlib.sha256(archive.read_bytes()).hexdigest() != sha256:
            archive.unlink()
            raise SystemExit(f"{archive.name}: SHA-256 differs from the pinned one")
        print(archive)
        return
    raise SystemExit(f"{package}: no source archive came")


if __name__ == "__main__":
    main(*sys.argv[1:])
