"""The code blocks of README and docs run, as they stand.

```python and ```sh blocks of one page run in order, in one empty folder; Python blocks of a page
share their names. A ```c block is compiled against ltx2.h and, if it has a main, run with the
model's files. A block that cannot run here has `<!-- not run: why -->` on the line before it.

The messages that docs/troubleshooting.md explains are those that the sources hold. A block after
`<!-- of FILE -->` quotes lines of that file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ltx2 import _native

ROOT = Path(__file__).parent.parent
PAGES = [path for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))] if path.exists()]
BLOCK = re.compile(
    r"^(?P<mark><!-- not run: [^\n]+ -->\n)?```(?P<language>python|sh|c)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Block:
    page: Path
    line: int
    language: str
    code: str

    def python(self, folder: Path, names: dict[str, Any]) -> None:
        code = "\n" * self.line + self.code  # so that a traceback names the page's own line
        exec(compile(code, str(self.page), "exec"), names)

    def sh(self, folder: Path, _names: dict[str, Any]) -> None:
        subprocess.run(["sh", "-eu", "-c", self.code], cwd=folder, check=True)

    def c(self, folder: Path, _names: dict[str, Any]) -> None:
        compiler = shutil.which("cc")
        if not compiler:
            pytest.skip("needs a C compiler")
        source = folder / "block.c"
        source.write_text(self.code)
        include = ["-I", str(_native.header_path.parent)]
        flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", *include]
        if "int main(" not in self.code:
            subprocess.run([compiler, *flags, "-fsyntax-only", str(source)], check=True)
            return
        library = str(_native.library_path)
        link = [library, f"-Wl,-rpath,{_native.library_path.parent}", "-o", str(folder / "block")]
        subprocess.run([compiler, *flags, str(source), *link], check=True)
        model = os.environ["LTX2_MODEL"].split(os.pathsep)
        subprocess.run([str(folder / "block"), *model], check=True)


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: found.start("code")].count("\n"), found["language"], found["code"])
        for found in BLOCK.finditer(text)
        if not found["mark"]
    ]


def test_pages_have_blocks_that_run() -> None:
    languages = {block.language for page in PAGES for block in blocks(page)}
    assert languages == {"python", "sh", "c"}


def test_a_mark_gives_its_reason() -> None:
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            if "not run" in line and line.startswith("<!--"):
                assert re.fullmatch(r"<!-- not run: .{8,} -->", line), f"{page.name}: {line}"


@pytest.mark.parametrize("page", [*filter(blocks, PAGES)], ids=lambda page: page.name)
def test_the_blocks_run(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: None,
    model: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        getattr(block, block.language)(tmp_path, names)


def test_the_minutes_of_a_laptop_follow_from_the_rehearsal() -> None:
    texts = {name: (ROOT / name).read_text(encoding="utf-8")
             for name in ("README.md", "docs/memory.md", "docs/performance.md")}  # fmt: skip
    table = texts["docs/memory.md"].split("<!-- rehearsal 2.3 -->")[1].split("<!-- end -->")[0]
    rows = re.findall(r"^\| (\S+) \| [\d.]+ \| ([\d.]+) \|", table, re.MULTILINE)
    took = {case: float(seconds) for case, seconds in rows}
    large = took["decode-512x768x121"]
    for clip, whole, decode in (
        ("256×256, 17 frames", took["t2v-256x256x17"], took["decode-256x256x17"]),
        ("768×512, 49 frames", took["t2v-512x768x49"], large * 49 / 121),
        ("768×512, 121 frames", took["t2v-768x512x121"], large),
    ):
        step = whole - decode - took["t2v-64x64x9"]
        minutes = (whole + 7 * step) / 60
        two, eight = round(minutes), round(minutes / 1.9**2)
        assert re.search(rf"{clip}.* \| {two} min \| {eight} min \|", texts["README.md"]), clip
        known = f"{whole:.0f} | {decode:.0f}"
        stated = rf"{clip} \| {whole:.0f} \| {decode:.0f}\D.*\| {step:.0f} \| {two} \| {eight} \|"
        assert re.search(stated, texts["docs/performance.md"]), known


def sources() -> str:
    """All that can print a message, with texts that stand on several lines joined into one."""
    files = [*ROOT.glob("native/src/**/*.cpp"), *ROOT.glob("native/**/*.h")]
    files += [*ROOT.glob("ltx2/**/*.py"), *ROOT.glob("native/cmake/*.cmake")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return re.sub(r'"\s*\n\s*f?"', "", text).replace('\\"', '"')


def test_the_messages_explained_are_those_of_the_sources() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    items = re.findall(r"^- (`.+?`):\s", page, re.MULTILINE | re.DOTALL)
    messages = [" ".join(m.split()) for item in items for m in re.findall(r"`([^`]+)`", item)]
    assert len(messages) > 30
    printed = sources()
    for message in messages:
        for part in message.split("…"):
            assert part.strip(" :,;") in printed, f"{message}: nothing prints {part!r}"


def test_quoted_lines_stand_in_the_file_they_are_of() -> None:
    quoted = r"^<!-- of (\S+) -->\n```\w+\n(.*?)^```$"
    page = (ROOT / "docs" / "add-a-component.md").read_text(encoding="utf-8")
    blocks = re.findall(quoted, page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 8
    for file, code in blocks:
        source = (ROOT / file).read_text(encoding="utf-8").splitlines()
        assert [line for line in code.splitlines() if line not in source] == [], file
