"""The commands about model files and devices: info, convert, devices."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import ltx2
from ltx2 import formats, media, runs
from ltx2.about import speed_words
from ltx2.model_files import paths as model_paths
from ltx2.text import json_line, visible

from . import plans
from .flags import FileName, as_loras, yes_flag
from .outputs import check_file
from .terminal import ProgressLine, answer, json_flag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ltx2.convert import Plan
    from ltx2.model_files import StrPath

_KNOWN = ltx2.capabilities()
_CLIPS = formats.WRITERS.keys() - formats.WITHOUT_METADATA
_NO_RUN: dict[str, Any] = {"model": None, "run": None, "problem": None}


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--verify", is_flag=True,
              help="Also read all tensors, and compare them with the checksums that ltx2 convert "
              "wrote into FILE.")  # fmt: skip
@json_flag
def info(files: Sequence[str], verify: bool, as_json: bool) -> None:
    """Print what model FILEs hold, and what a run with them needs; of clips, how they were made.

    A FILE may be a folder, or a name of `ltx2 list`.
    """
    clips = {str(clip): _clip(clip) for file in files for clip in _clips(Path(file))}
    paths = model_paths([file for file in files if not _clips(Path(file))])
    described = {str(file): ltx2.describe(file) for path in paths for file in _inside(Path(path))}
    if verify and not paths:
        raise click.UsageError(
            "--verify compares checksums of model files, and there are only clips"
        )
    if verify:
        from ltx2.convert import verify as check

        with closing(ProgressLine()) as line:
            for file in described:
                check(file, progress=line.show)
    about = {"files": described, "clips": clips, **(_run(paths) if paths else _NO_RUN)}
    if as_json:
        click.echo(json_line(about))
        return
    lines = [line for file, said in described.items() for line in (file, *_lines(said))]
    for clip, said in clips.items():
        recipe = said["recipe"] or {"problem": said["problem"]}
        lines += [clip, *(f"{key}: {json.dumps(value)}" for key, value in recipe.items())]
    if about["run"]:
        lines += ["model:", *(f"{key}: {value}" for key, value in about["model"].items())]
        lines += ["run:", *plans.lines(about["run"])]
    elif paths:
        lines.append(f"run: {about['problem']}")
    click.echo("\n".join(map(visible, lines)))


_GENERATIONS = 3  # that there are; a part that fits all says nothing


def _inside(path: Path) -> list[Path]:
    """The model files of a folder; else the path itself."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix in (".gguf", ".safetensors"))


def _clips(path: Path) -> list[Path]:
    """Itself, if that is a clip; those of a folder without a model."""
    if not path.is_dir():
        return [path] if path.suffix.lower() in _CLIPS and path.is_file() else []
    if _inside(path):
        return []
    there = sorted(path.iterdir())
    if there and there == formats.frames_in(path) and all(map(Path.is_file, there)):  # its frames
        return [path]
    return [file for file in there if file.suffix.lower() in _CLIPS]


def _clip(path: Path) -> dict[str, Any]:
    """What it was made from, or why that is not known."""
    try:
        return {"recipe": media.read_metadata(path), "problem": None}
    except ltx2.InvalidArgumentError as error:
        return {"recipe": None, "problem": str(error)}


def _run(files: Sequence[StrPath]) -> dict[str, Any]:
    """What the model does by itself, and what a video of its usual size takes; or why these files
    make none."""
    try:
        with ltx2.Session(files) as session:
            own = session.defaults
            model = {"variant": runs.variant(session.is_demo, own), **own}
            return {**_NO_RUN, "model": model, "run": session.plan("a")}
    except ltx2.Error as error:
        return {**_NO_RUN, "problem": str(error)}


def _lines(about: dict[str, Any]) -> Iterator[str]:
    """What `describe` gave, as lines "key: value", one per tensor at the end."""
    used = ("always", "optional")
    parts = [p["id"] + ("" if p["need"] in used else " (not used)") for p in about["parts"]]
    for key in ("file", "format"):
        yield f"{key}: {about[key]}"
    yield f"parts: {', '.join(parts) or 'none known'}"
    for part in about["parts"]:
        sizes = "".join(f", {name} {size}" for name, size in part["geometry"].items())
        fits = part["generations"]
        of = f", of {' or '.join(fits)}" if len(fits) < _GENERATIONS else ""
        yield f"part {part['id']}: {_counts(part)}{sizes}{of}"
    if about["problem"]:
        yield f"problem: {about['problem']}"
    for key in ("tensors", "parameters", "bytes"):
        yield f"{key}: {about[key]}"
    for kind, counts in about["types"].items():
        yield f"type {kind}: {_counts(counts)}"
    yield f"license: {_short(about['license']) if about['license'] else 'none stated'}"
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
    """List the devices that can compute here, after a trial of a second each."""
    tried = ltx2.try_devices()
    click.echo(json_line(tried) if as_json else "\n".join(map(_device_line, tried)))


def _device_line(device: dict[str, Any]) -> str:
    line = f"{device['name']}: {device['description']}"
    if device["memory"]:
        total, free = f"{device['memory'] / 2**30:.1f} GiB", device["memory_free"]
        line += f", {total}" if free is None else f", {free / 2**30:.1f} of {total} free"
    if device["driver"]:
        line += f", {device['driver']}"
    if device["problem"]:
        return visible(f"{line}; not used: {device['problem']}")
    return visible(f"{line}, {speed_words(device)}")


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("-o", "--output", metavar="FILE", type=FileName(), help="The .gguf to write.")
@yes_flag
@click.option("--dry-run", is_flag=True, help="Only print what FILE would hold, and its size.")
@click.option("--type", "kind", type=click.Choice(_KNOWN["types"], case_sensitive=False),
              help="How the large matrices are stored; default: q8_0.")  # fmt: skip
@click.option("--tensor-type", multiple=True, metavar="PATTERN=TYPE",
              help="Another type for the matrices whose names in the new file have the PATTERN, "
              "where # stands for a number and * for anything; the first that fits counts. "
              "Repeatable.")  # fmt: skip
@click.option("--target-size", metavar="SIZE", callback=lambda _, __, text: _bytes(text),
              help="The most that FILE may take, as 9GB or 8.5GiB: picks the types that cost "
              "least.")  # fmt: skip
@click.option("--variant", type=click.Choice(_KNOWN["variants"]),
              help="The sampling defaults to state, where SOURCE states none.")  # fmt: skip
@click.option("--no-audio", is_flag=True, help="Leave the sound's tensors out.")
@click.option("--lora", "loras", multiple=True, metavar="FILE[:STRENGTH]", callback=as_loras,
              help="An adapter to merge into the matrices; f16 or bf16 keeps all of it. "
              "Repeatable.")  # fmt: skip
@json_flag
def convert(
    sources: Sequence[str],
    output: str | None,
    yes: bool,
    dry_run: bool,
    kind: str | None,
    tensor_type: Sequence[str],
    target_size: int | None,
    variant: str | None,
    no_audio: bool,
    loras: dict[StrPath, float],
    as_json: bool,
) -> None:
    """Convert SOURCE, model files or folders, to one GGUF file."""
    from ltx2 import convert as converting

    paths = model_paths(sources)
    options: dict[str, Any] = {
        "variant": variant, "tensor_type": _patterns(tensor_type), "audio": not no_audio,
        "target_size": target_size, "loras": loras,
    }  # fmt: skip
    if dry_run:
        planned = converting.plan(paths, kind, **options)
        click.echo(json_line(planned) if as_json else "\n".join(map(visible, _plan_lines(planned))))
        return
    if output is None:
        raise click.UsageError("Missing option '-o' / '--output'.")
    check_file(output, yes=yes)
    with closing(ProgressLine()) as line:
        converting.convert(paths, output, kind, **options, progress=line.show)
    answer(output, {}, as_json)


def _bytes(size: str | None) -> int | None:
    """Of 9GB, 8.5 GiB, 9000000000."""
    if size is None:
        return None
    digits = r"([0-9]{1,18}(?:\.[0-9]{1,18})?)"
    found = re.fullmatch(digits + r" *([KMGT]?)(i?)B?", size, re.IGNORECASE)
    if not found:
        raise click.BadParameter(f"{size} is no size such as 9GB or 8.5GiB")
    number, power, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(power.upper() or " "))


def _patterns(given: Sequence[str]) -> dict[str, str]:
    """PATTERN=TYPE; the first of a pattern counts."""
    out: dict[str, str] = {}
    for text in given:
        pattern, equals, kind = text.rpartition("=")
        if not equals:
            raise click.BadParameter(f"{text} is not PATTERN=TYPE", param_hint="--tensor-type")
        out.setdefault(pattern, kind)
    return out


def _plan_lines(planned: Plan) -> Iterator[str]:
    """Lines "key: value": what is kept and dropped, by part, and how it is stored."""
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for tensor in planned["tensors"]:
        counts = {"tensors": 1, "parameters": math.prod(tensor["shape"]), "bytes": tensor["bytes"]}
        groups[f"kept {tensor['part']}"].update(counts)
        groups[f"type {tensor['type']}"].update(counts)
    for name, total in sorted(groups.items()):
        yield f"{name}: {_counts(total)}"
    for row in planned["dropped"]:
        yield f"dropped {row['part'] or 'other'}: {_counts(row)}"
    yield f"size: {planned['size']}"


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{counts[key]} {key}" for key in ("tensors", "parameters", "bytes"))
