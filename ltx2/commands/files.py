"""The commands about model files and devices: info, convert, devices."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

import ltx2
from ltx2.model_files import paths as model_paths
from ltx2.text import json_line, visible

from .terminal import Bars, answer, json_flag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_KNOWN = ltx2.capabilities()


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@json_flag
def info(files: Sequence[str], as_json: bool) -> None:
    """Print what model FILEs hold; a FILE may be a name of `ltx2 list`."""
    described = {str(file): ltx2.describe(file) for file in model_paths(files)}
    if as_json:
        click.echo(json_line(described))
        return
    for file, about in described.items():
        click.echo("\n".join(map(visible, [file, *_lines(about)])))


def _lines(about: dict[str, Any]) -> Iterator[str]:
    """What `describe` gave, as lines "key: value", one per tensor at the end."""
    used = ("always", "optional")
    parts = [p["id"] + ("" if p["need"] in used else " (not used)") for p in about["parts"]]
    for key in ("file", "format"):
        yield f"{key}: {about[key]}"
    yield f"parts: {', '.join(parts) or 'none known'}"
    if about["problem"]:
        yield f"problem: {about['problem']}"
    for key in ("tensors", "parameters", "bytes"):
        yield f"{key}: {about[key]}"
    for kind, count in about["types"].items():
        yield f"type {kind}: " + ", ".join(f"{number} {key}" for key, number in count.items())
    for key, value in about["metadata"].items():
        yield f"metadata {key}: {_short(value)}"
    for tensor in about["tensor_list"]:
        yield f"tensor {tensor['name']}: {tensor['type']} {tensor['shape']}"


def _short(value: Any) -> str:
    """One line for a value of the metadata."""
    if isinstance(value, float):
        return f"{value:.9g}"
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    begins, length = value["begins"], value["length"]
    if isinstance(begins, str):
        return f"{_short(begins)}... ({length} bytes)"
    return f"[{', '.join(map(_short, begins))}, ...] ({length} values)"


@click.command()
@json_flag
def devices(as_json: bool) -> None:
    """List the devices that can compute here."""
    names = ltx2.devices()
    click.echo(json_line(names) if as_json else "\n".join(map(visible, names)))


@click.command()
@click.argument("source")
@click.option("-o", "--output", required=True, metavar="FILE", help="The .gguf to write.")
@click.option("--type", "kind", default="q8_0", show_default=True,
              type=click.Choice(_KNOWN["types"], case_sensitive=False),
              help="How the large matrices are stored.")  # fmt: skip
@click.option("--variant", type=click.Choice(_KNOWN["variants"]),
              help="The sampling defaults to state, where SOURCE states none.")  # fmt: skip
@json_flag
def convert(source: str, output: str, kind: str, variant: str | None, as_json: bool) -> None:
    """Convert SOURCE, a .safetensors file or a Gemma 3 folder, to GGUF."""
    from ltx2.convert import convert as run

    sources = model_paths([source])
    if len(sources) != 1:
        words = f"is {len(sources)} files; convert those that `ltx2 pull {source}` prints"
        raise click.UsageError(f"{source}: {words}")
    with closing(Bars()) as bars:
        run(sources[0], output, kind.lower(), variant=variant, progress=bars.show)
    answer(output, {}, as_json)
