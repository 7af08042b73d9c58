"""The command line: `ltx2` is in the shell what it is in Python, with the same names.

stdout carries the answer alone (the path of what was written, or JSON); progress, warnings and
errors go to stderr. Exit codes are `EXIT_CODES`, and those of `_process` for signals.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import traceback
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from tqdm import tqdm

import ltx2

from . import _process, media
from ._native import ffi, sentences
from ._process import say
from .text import json_line, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .video import Progress

# The first class that fits counts.
EXIT_CODES: dict[type[BaseException], int] = {
    click.ClickException: 2,
    ltx2.InvalidArgumentError: 2,
    ltx2.ModelError: 3,
    ltx2.OutOfMemoryError: 4,
    MemoryError: 4,
    ltx2.DeviceError: 5,
    OSError: 6,
    click.Abort: 130,
    KeyboardInterrupt: 130,
    ltx2.CancelledError: 130,
    SystemExit: 141,  # Click's, where the reader of stdout has left
    ltx2.InternalError: 70,
    Exception: 70,  # a defect too
}

_KNOWN = ltx2.capabilities()
_OPENING = sentences("ltx2_session_params")
_MAKING = sentences("ltx2_video_params")


def _field(name: str) -> Callable[[Any], Any]:
    """The option for a field of `Options`, with the header's words."""
    field = dict(ffi.typeof("ltx2_video_params").fields)[name].type
    kind: Any = str
    if name == "noise":
        kind = click.Path(dir_okay=False)
    elif name == "schedule":
        kind = click.Choice(_KNOWN["schedules"])
    elif field.kind == "primitive":
        kind = float if field.cname == "float" else int
    words = _MAKING[name]
    if name == "seed":
        words += " Default: a random one, which is printed."
    return click.option("--" + name.replace("_", "-"), name, type=kind, help=words)


def _applied(options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A decorator that adds options in this order."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_json_flag = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_shared = _applied([
    click.option("-o", "--output", required=True, metavar="FILE",
                 help=".mp4, .gif, .webp, .png (a folder of frames) or .npy."),
    click.option("--model", multiple=True, metavar="PATH", type=click.Path(),
                 help=_OPENING["files"] + " Give it once per PATH. Default: $LTX2_MODEL, else the "
                 "demo model."),
    click.option("--device", help=_OPENING["device"] + " `ltx2 devices` lists them."),
    click.option("--threads", type=int, default=0, help=_OPENING["threads"]),
    click.option("--low-memory", is_flag=True, help=_OPENING["low_memory"]),
    _json_flag,
    click.option("-v", "--verbose", is_flag=True, help="Print more on stderr."),
])  # fmt: skip
_generation = _applied([
    *map(_field, ltx2.Options.__annotations__),
    click.option("--latents", metavar="FILE", type=click.Path(dir_okay=False),
                 help="Also write the final latents there, .npy, before they are decoded."),
    _shared,
])  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ltx2.__version__, prog_name="ltx2")
def cli() -> None:
    """Video from a prompt, and from a prompt and images, with LTX-2.3."""
    log = logging.getLogger("ltx2")
    log.handlers = [_Said()]
    log.setLevel(logging.WARNING)


@cli.command()
@click.argument("prompt")
@_generation
def t2v(prompt: str, **options: Any) -> None:
    """Make a video from PROMPT."""
    _generate(lambda session, wanted: session.t2v(prompt, **wanted), options)


@cli.command()
@click.argument("prompt")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE[@FRAME[:STRENGTH]]...")
@click.option("--crf", type=int, default=33, show_default=True,
              help="How strongly an image is compressed before use; 0 not at all.")  # fmt: skip
@_generation
def i2v(prompt: str, images: Sequence[str], crf: int, **options: Any) -> None:
    """Make a video from PROMPT that passes through IMAGEs: at FRAME (0), with STRENGTH (1).

    An image lies on white where it is transparent.
    """
    chosen = {}
    for frame, image in map(parse_image, images):
        if frame in chosen:
            raise click.UsageError(f"two images for frame {frame}")
        chosen[frame] = image
    _generate(lambda session, wanted: session.i2v(prompt, chosen, crf=crf, **wanted), options)


@cli.command()
@click.argument("latents", metavar="LATENTS")
@click.option("--fps", type=float, help=sentences("ltx2_decode_params")["fps"])
@_shared
def decode(latents: str, **options: Any) -> None:
    """Make the video of LATENTS, a .npy that `--latents` wrote."""
    values = _load_array("latents", latents)
    size = _video_size(values.shape)
    _generate(lambda session, wanted: session.decode(values, **wanted), options, size)


def _video_size(latents: tuple[int, ...]) -> dict[str, int]:
    """What LTX-2.3 makes of latents of this shape; nothing where they are none."""
    if len(latents) != 4:
        return {}
    _, frames, height, width = latents
    return {"width": 32 * width, "height": 32 * height, "frames": 8 * (frames - 1) + 1}


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_json_flag
def info(files: Sequence[str], as_json: bool) -> None:
    """Print what model FILEs hold."""
    described = {file: ltx2.describe(file) for file in files}
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


@cli.command()
@_json_flag
def devices(as_json: bool) -> None:
    """List the devices that can compute here."""
    names = ltx2.devices()
    click.echo(json_line(names) if as_json else "\n".join(map(visible, names)))


@cli.command()
@click.argument("source")
@click.option("-o", "--output", required=True, metavar="FILE", help="The .gguf to write.")
@click.option("--type", "kind", default="q8_0", show_default=True,
              type=click.Choice(_KNOWN["types"], case_sensitive=False),
              help="How the large matrices are stored.")  # fmt: skip
@click.option("--variant", type=click.Choice(_KNOWN["variants"]),
              help="The sampling defaults to state, where SOURCE states none.")  # fmt: skip
@_json_flag
def convert(source: str, output: str, kind: str, variant: str | None, as_json: bool) -> None:
    """Convert SOURCE, a .safetensors file or a Gemma 3 folder, to GGUF."""
    from .convert import convert as run

    with closing(_Bars()) as bars:
        run(source, output, kind.lower(), variant=variant, progress=bars.show)
    _answer(output, {}, as_json)


def parse_image(argument: str) -> tuple[int, tuple[str, float]]:
    """IMAGE[@FRAME[:STRENGTH]] as (frame, (image, strength)); a file of that whole name wins."""
    match = re.fullmatch(r"(.+)@(\d+)(?::(\d*\.?\d+))?", argument)
    if match is None or os.path.lexists(argument):
        return 0, (argument, 1.0)
    image, frame, strength = match.groups()
    return int(frame), (image, float(strength or 1))


def _generate(
    make: Callable[[ltx2.Session, dict[str, Any]], ltx2.Video],
    options: dict[str, Any],
    size: Mapping[str, int] | None = None,
) -> None:
    """Everything around the call itself: check the output, open, report, save.

    `size` is the video's, where no option says it.
    """
    output = options.pop("output")
    model = options.pop("model")
    opening = {name: options.pop(name) for name in ("device", "threads", "low_memory")}
    as_json, verbose = options.pop("as_json"), options.pop("verbose")
    if verbose:
        logging.getLogger("ltx2").setLevel(logging.INFO)
    _check_output(output, {**options, **(size or {})})
    wanted = {name: value for name, value in options.items() if value is not None}
    if "noise" in wanted:
        wanted["noise"] = _load_array("noise", wanted["noise"])
    if "latents" in wanted:
        if os.path.realpath(wanted["latents"]) == os.path.realpath(output):
            raise click.UsageError("--latents names the output; the video would replace them")
        wanted["latents"] = media.array_writer(wanted["latents"])
    with (
        ltx2.Session(list(model) or None, **opening) as session,
        closing(_Bars(f"model: {session.model}")) as bars,
    ):
        video = make(session, {**wanted, "progress": bars.show})
    if not verbose and video.seed is not None:  # else it was logged at the start
        say(f"seed {video.seed}")
    _save(video, output)
    _answer(output, video.metadata, as_json)


def _check_output(output: str, asked: Mapping[str, Any]) -> None:
    known = ("width", "height", "frames", "fps")
    media.check_output(output, **{name: asked.get(name) for name in known})


def _save(video: ltx2.Video, output: str) -> None:
    """If that fails, nothing is lost: the frames are kept, or at least the latents."""
    try:
        video.save(output)
    except Exception:
        arrays = {"frames": video.frames, "latents": video.latents}
        kept = media.rescue(output, {n: a for n, a in arrays.items() if a is not None})
        if kept is None:
            say("nor could the frames be kept anywhere")
        else:
            name, path = kept
            use = f"`ltx2 decode` with --fps {video.fps:g} makes a video of them"
            if name == "frames":
                use = f"in Python, ltx2.Video(numpy.load(path), {video.fps:g}).save saves them"
            say(f"the {name} are kept in {path}; {use}")
        raise


def _answer(output: str, metadata: Mapping[str, Any], as_json: bool) -> None:
    """What was written, on stdout: the path as it is, or, on a terminal, as it can be shown."""
    if as_json:
        click.echo(json_line({"output": output, **metadata}))
    elif sys.stdout and sys.stdout.isatty():
        click.echo(visible(output))
    else:
        click.echo(os.fsencode(output))


class _Said(logging.Handler):
    """Messages on stderr; a warning once, though a trial and the work itself both give it."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            if text in self.warnings:
                return
            self.warnings.add(text)
        say(text)


def _load_array(name: str, path: str) -> Any:
    try:
        with Path(path).open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:  # a damaged header raises whatever NumPy's parser meets
        raise ltx2.InvalidArgumentError(f"{name}: {path} cannot be read: {error}") from None


class _Bars:
    """One bar per stage on stderr, if that is a terminal; `title` is said when the work begins."""

    def __init__(self, title: str = "") -> None:
        self.title = title
        self.stage = ""
        self.bar: tqdm[Any] | None = None

    def show(self, progress: Progress) -> None:
        _process.check()
        if self.title:
            say(self.title)
            self.title = ""
        with contextlib.suppress(OSError):  # a terminal that was closed
            if sys.stderr and sys.stderr.isatty():
                self._draw(progress)

    def _draw(self, progress: Progress) -> None:
        if self.bar is None or progress.stage != self.stage:
            self.close()
            self.stage = progress.stage
            unit: dict[str, Any] = (
                {"unit": "B", "unit_scale": True} if progress.stage == "convert" else {}
            )
            self.bar = tqdm(
                desc=f"{progress.stage:>7}", total=progress.total, file=sys.stderr, **unit
            )
        self.bar.total = progress.total
        self.bar.n = progress.done
        self.bar.refresh()

    def close(self) -> None:
        bar, self.bar = self.bar, None
        with contextlib.suppress(OSError):
            if bar is not None:
                bar.close()


def _words(error: BaseException) -> str:
    """One line for what went wrong."""
    if isinstance(error, click.ClickException):
        text = error.format_message()
    elif isinstance(error, (KeyboardInterrupt, click.Abort, ltx2.CancelledError)):
        text = "cancelled"
    else:
        text = _text(error)
    return " ".join(text.split())


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:  # the exception's own
        return type(error).__name__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = cli.main(given or ["--help"], prog_name="ltx2", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except tuple(EXIT_CODES) as error:
        kind = next(kind for kind in EXIT_CODES if isinstance(error, kind))
        if kind is Exception:
            _say_defect(error)
        elif kind is not SystemExit:
            say(_words(error))
        return EXIT_CODES[kind]


def _say_defect(error: BaseException) -> None:
    """What nothing here expected; where it happened stands there with -v."""
    if logging.getLogger("ltx2").isEnabledFor(logging.INFO):
        for line in "".join(traceback.format_tb(error.__traceback__)).splitlines():
            say(line)
    say(f"internal: {type(error).__name__}: {_words(error)}; please report it")
