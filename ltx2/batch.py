"""Many clips: a list of jobs, made here one after the other, or by the workers of an executor.

A job is what `Session.t2v` is called with, or, where it has an `image`, `Session.i2v`, and
`output`, the clip's name. A clip that is there already, made from the same, is not made again: so a
list goes on where it was stopped, and a worker's death does no harm.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import threading
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from . import clips, cluster, formats, hub, media
from ._video_call import VideoCall
from .enhancing import Enhancing
from .errors import CancelledError, DeviceError, InvalidArgumentError
from .model_files import strengths_of
from .request import Making, Options, Request, lists_frames
from .session import Session
from .text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TextIO

    from .model_files import Loras, StrPath
    from .video import Progress

_log = logging.getLogger("ltx2")

_CALLED = {str: (str, "text"), int: (Integral, "whole number"), float: (Real, "number"),
           bool: (bool, "true or false")}  # fmt: skip
_KINDS: dict[str, tuple[Any, str]] = {
    name: _CALLED[kind]
    for name, hint in {
        "prompt": str, "output": str, "duration": float, "crf": int, "keyframes": bool,
        **get_type_hints(Options),
    }.items()
    for kind in (hint, *get_args(hint))
    if kind in _CALLED
}  # fmt: skip
FIELDS = ("prompt", "output", "image", "duration", "crf", "keyframes",
          *(name for name in Making.__annotations__ if name != "noise"))  # fmt: skip
TRIES = 3  # of a job whose place failed, not the job itself
_LONGEST_LINE = 1 << 20  # characters


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a job."""

    output: str
    """The clip's path."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The clip's, as `Video.metadata`."""
    error: Exception | None = None
    """Why there is no clip."""
    made: bool = False
    """Now; a clip without it was there already."""
    place: str = ""
    """The worker."""


@dataclass(frozen=True, eq=False)
class _Task:
    """A job as a worker is given it: it may run in another folder."""

    prompt: str
    output: str
    images: Mapping[int, Any]
    options: Mapping[str, Any]
    opening: str  # what Session is opened with, as JSON: to compare


def read(file: TextIO) -> list[dict[str, Any]]:
    """The jobs of a file, one a line, as `parsed`; empty lines are nothing.

    Raises InvalidArgumentError, which names the line.
    """
    name, jobs = getattr(file, "name", "jobs"), []
    for number, line in enumerate(_lines(file, name), 1):
        with _found_at(f"{name}: line {number}"):
            if number == 1:
                line = line.removeprefix("\ufeff")  # a mark of UTF-8 that the file's reader left
            if len(line) == _LONGEST_LINE:
                raise InvalidArgumentError(f"is longer than {_LONGEST_LINE} characters")
            if line.strip():
                jobs.append(parsed(line.strip()))
    return jobs


@contextmanager
def _found_at(where: str) -> Iterator[None]:
    """What is refused says where it stands."""
    try:
        yield
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{where}: {error}") from None


def _lines(file: TextIO, name: str) -> Iterator[str]:
    try:
        yield from iter(lambda: file.readline(_LONGEST_LINE), "")
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{name}: is not UTF-8: {error.reason}") from None


def parsed(line: str) -> dict[str, Any]:
    """A job of a line: a JSON object with the fields of one, or a prompt alone."""
    if not line.startswith("{"):
        return checked(line)
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"is no JSON object: {error}") from None
    return checked(fields)


def checked(job: str | Mapping[str, Any]) -> dict[str, Any]:
    """A job whose fields there are, and are of their kinds, without those that are None; a text is
    a prompt. `image` is frames and pictures. What else they may be is for the call to refuse.
    """
    fields: dict[str, Any] = {"prompt": job} if isinstance(job, str) else dict(job)
    for name in fields:
        if name not in FIELDS:
            raise InvalidArgumentError(f"{name}: is none of {', '.join(FIELDS)}")
    fields = {name: value for name, value in fields.items() if value is not None}
    _check_kinds(fields)
    if not fields.get("prompt", "").strip():
        raise InvalidArgumentError("has no prompt")
    if not 0 < fields.get("duration", 1) < 1e6:
        raise InvalidArgumentError(f"duration: {fields['duration']:g} is no time in seconds")
    if "duration" in fields and "frames" in fields:
        raise InvalidArgumentError("duration: stands in place of frames; give one of them")
    if fields.get("seed") == -1:
        fields["seed"] = None
    if "image" in fields:
        fields["image"] = _pictures(fields["image"])
    elif of_image := fields.keys() & {"crf", "keyframes"}:
        raise InvalidArgumentError(f"{min(of_image)}: is of pictures, and there is no image")
    _check_enhance(fields.get("enhance", False))
    return fields


def _check_kinds(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if name not in _KINDS or lists_frames(name, value):
            continue
        kind, called = _KINDS[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InvalidArgumentError(f"{name}: {value!r} is no {called}")
        if kind is Real and not _is_finite(value):
            raise InvalidArgumentError(f"{name}: {value!r} is no finite number")


def _is_finite(number: Any) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number that none of floating point holds
        return False


def _check_enhance(how: Any) -> None:
    if not isinstance(how, (bool, Mapping)):
        raise InvalidArgumentError(f"enhance: {how!r} is neither true nor false, nor an object")
    for name in how if isinstance(how, Mapping) else ():
        if name not in Enhancing.__annotations__:
            raise InvalidArgumentError(
                f"enhance: {name}: is none of {', '.join(Enhancing.__annotations__)}"
            )


def _pictures(image: Any) -> dict[int, Any]:
    """As `i2v` takes them, of what JSON can hold: {"48": ["last.png", 0.8]}."""
    chosen = image if isinstance(image, Mapping) else {0: image}
    if not chosen or not all(re.fullmatch(r"\d{1,9}", str(frame)) for frame in chosen):
        raise InvalidArgumentError("image: maps frames, which are whole numbers, to pictures")
    pictures = {int(frame): _placed(picture) for frame, picture in chosen.items()}
    if len(pictures) < len(chosen):
        raise InvalidArgumentError("image: has a frame twice")
    return pictures


def _placed(picture: Any) -> Any:
    if not (isinstance(picture, (list, tuple)) and len(picture) == 2):
        return _picture(picture)
    if not isinstance(picture[1], Real):
        raise InvalidArgumentError(f"image: {picture[1]!r} is no strength")
    return (_picture(picture[0]), picture[1])


def _picture(given: Any) -> Any:
    if isinstance(given, (Real, list, tuple, Mapping, type(None))):
        raise InvalidArgumentError(f"image: {given!r} is no picture")
    return _place(given) if isinstance(given, (str, os.PathLike)) else given


def _check_name(name: str) -> None:
    if Path(name).name != name or name == "..":
        raise InvalidArgumentError(f"output: {name} is not the name of a file alone")
    if formats.NUMBERED.fullmatch(name):
        raise InvalidArgumentError(
            f"output: {name} is frames in the folder of all clips; FOLDER.png is a folder of frames"
        )
    if Path(name).suffix.lower() in formats.WITHOUT_METADATA:
        raise InvalidArgumentError(
            f"output: {name} would not say what it was made from; take another ending"
        )


def generate(
    jobs: Iterable[str | Mapping[str, Any]],
    executor: Executor | None = None,
    *,
    folder: StrPath = ".",
    model: StrPath | Sequence[StrPath] | None = None,
    device: str | None = None,
    threads: int | None = None,
    keep_loaded: bool | None = False,
    low_memory: bool | None = False,
    loras: Loras | None = None,
    done: Callable[[Outcome], object] | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> list[Outcome]:
    """Make the clips of all jobs, in `folder`; what became of each, in the jobs' order.

    A job is a prompt, or a mapping: the arguments of `Session.t2v`, or with `image` of
    `Session.i2v`, but for functions, and `output`, the clip's name in the folder; default:
    NUMBER-WORDS-OF-THE-PROMPT.mp4. A clip that is there already is left if it was made from the
    same prompt, settings, pictures and model, and else the job fails: nothing is replaced.

    `executor` is any of `concurrent.futures`, or Dask's (`Client.get_executor()`); default: this
    process makes them, one after the other. Each of its processes opens one session, with `model`
    and what follows as in `Session`, and keeps it; all see the same files under the same paths. A
    job that fails does not stop the others. Where not the job is at fault but its place (memory, a
    device, a model that is not there) it is tried again, by Dask at another worker.

    `done` is called when a job ends; `progress` as in `t2v`, where this process makes the clips.
    What these raise, and Ctrl-C, ends all jobs and reaches the caller. Raises InvalidArgumentError
    for jobs that cannot be understood, before any work; and, without an executor, whatever keeps a
    session from being opened.
    """
    opening = {
        "model": _given_files(model), "device": device, "threads": threads,
        "keep_loaded": keep_loaded, "low_memory": low_memory,
        "loras": {_place(file): strength for file, strength in strengths_of(loras).items()},
    }  # fmt: skip
    tasks = _tasks(jobs, Path(folder).absolute(), json.dumps(opening, default=plain))
    told = done or (lambda _outcome: None)
    if executor is None:
        return _here(tasks, opening, told, progress)
    return _Run(executor, tasks, told).outcomes()


def _given_files(model: StrPath | Sequence[StrPath] | None) -> list[str] | None:
    """None is what a worker's own environment says."""
    if model is None and not os.environ.get("LTX2_MODEL"):
        return None
    if model is None:
        model = hub.split(os.environ["LTX2_MODEL"])
    return [_place(file) for file in ([model] if isinstance(model, (str, os.PathLike)) else model)]


def _place(file: StrPath) -> str:
    """As every worker finds it; what is not there, as a name of `ltx2 list`, stays."""
    return os.path.abspath(file) if os.path.lexists(file) else os.fspath(file)  # noqa: PTH100 - links stay


def _tasks(jobs: Iterable[str | Mapping[str, Any]], folder: Path, opening: str) -> list[_Task]:
    if not folder.is_dir():
        raise InvalidArgumentError(f"{folder}: is no folder")
    tasks: dict[str, _Task] = {}
    for number, job in enumerate(jobs, 1):
        with _found_at(f"job {number}"):
            fields = checked(job)
            prompt, images = fields.pop("prompt"), fields.pop("image", {})
            name = fields.pop("output", None) or _name(number, prompt)
            _check_name(name)
            if name in tasks:
                raise InvalidArgumentError(f"output: {name} is another job's too")
        tasks[name] = _Task(prompt, str(folder / name), images, fields, opening)
    return list(tasks.values())


def _name(number: int, prompt: str) -> str:
    words = re.sub(r"\W+", "-", prompt.casefold())[:40].strip("-")
    return f"{number:04}-{words}.mp4".replace("-.", ".")


# ---- a clip


def _make(
    session: Session, task: _Task, progress: Callable[[Progress], object] | None
) -> tuple[Mapping[str, Any], bool]:
    """The metadata of the clip, and whether it had to be made."""
    options = _with_frames(session, task.options)
    recipe, size = _recipe(session, task, options)
    if about := _found(task.output, recipe):
        return about, False
    media.check_output(task.output, **size)
    if task.images:
        video = session.i2v(task.prompt, task.images, progress=progress, **options)
    else:
        video = session.t2v(task.prompt, progress=progress, **options)
    if about := _found(task.output, recipe):  # by a worker that was taken for lost
        return about, False
    video.save(task.output)
    return video.metadata, True


def _with_frames(session: Session, options: Mapping[str, Any]) -> dict[str, Any]:
    """As many as last as long as `duration` says."""
    wanted = dict(options)
    if (seconds := wanted.pop("duration", None)) is not None:
        fps = wanted.get("fps") or session.defaults["fps"]
        wanted["frames"] = clips.nearest_count(seconds * fps)
    return wanted


def _recipe(
    session: Session, task: _Task, wanted: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the clip will say of itself that is known before, its device apart; and its size."""
    options = dict(wanted)
    enhanced, crf = options.pop("enhance", False), options.pop("crf", None)
    keyframes = options.pop("keyframes", False)
    with VideoCall(session) as call:
        request = Request.of(task.prompt, options)
        session._add_images(request, task.images, crf, call)
        request.given.keyframes = keyframes
        settings = session._fill_in(request, call)
    recipe = request.metadata()
    recipe |= {name: settings[name] for name in ("parts", "loras") if name in settings}
    if options.get("seed") is None:
        del recipe["seed"]
    if enhanced is not False:
        recipe["enhanced_from"] = recipe.pop("prompt")
    sizes = ("width", "height", "frames", "fps", "temporal_upscalings")
    size = {name: request.options.get(name) for name in sizes}
    return json.loads(json.dumps(recipe)), size  # as the clip will hold it


def _found(path: str, recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the clip says that is there already; refuses one of another recipe."""
    if not os.path.lexists(path):
        return None
    try:
        about = media.read_metadata(path)
    except InvalidArgumentError:
        about = {}
    if others := [name for name, value in recipe.items() if about.get(name) != value]:
        raise InvalidArgumentError(
            f"{path}: is there already, with another {', '.join(others)}; remove it, or name "
            "another output"
        )
    return about


# ---- where it is made

_opened: dict[str, Session] = {}  # of this process, one: a second model would take its memory
_opening = threading.Lock()


def _session(opening: str) -> Session:
    with _opening:
        if opening not in _opened:
            _opened.clear()
            _opened[opening] = Session(**json.loads(opening))
        return _opened[opening]


def _work(task: _Task) -> Outcome:
    """What an executor's worker does."""
    place = cluster.place()
    try:
        metadata, made = _make(_session(task.opening), task, cluster.stopper())
    except Exception as error:
        if isinstance(error, (MemoryError, DeviceError)):
            _opened.clear()  # the next job begins anew
        return Outcome(task.output, error=error, place=place)
    return Outcome(task.output, metadata, made=made, place=place)


def _here(
    tasks: list[_Task],
    opening: Mapping[str, Any],
    told: Callable[[Outcome], object],
    progress: Callable[[Progress], object] | None,
) -> list[Outcome]:
    raised: list[Exception] = []  # by `progress`

    def watched(now: Progress) -> None:
        try:
            if progress:
                progress(now)
        except Exception as error:
            raised.append(error)
            raise

    outcomes = []
    with Session(**opening) as session:
        for task in tasks:
            try:
                metadata, made = _make(session, task, watched)
            except Exception as error:
                if error in raised or isinstance(error, CancelledError):
                    raise
                outcome = Outcome(task.output, error=error)
            else:
                outcome = Outcome(task.output, metadata, made=made)
            outcomes.append(outcome)
            told(outcome)
    return outcomes


class _Run:
    """All tasks, given to an executor."""

    def __init__(
        self, executor: Executor, tasks: list[_Task], told: Callable[[Outcome], object]
    ) -> None:
        self.executor = executor
        self.tasks = tasks
        self.told = told
        self.ended: SimpleQueue[Future[Outcome]] = SimpleQueue()
        self.pending: dict[Future[Outcome], tuple[int, tuple[str, ...]]] = {}

    def outcomes(self) -> list[Outcome]:
        found: dict[int, Outcome] = {}
        try:
            for number in range(len(self.tasks)):
                self.submit(number, ())
            while self.pending:
                future = self.ended.get()
                number, failed_at = self.pending.pop(future)
                outcome = _outcome(self.tasks[number], future)
                failed_at = (*failed_at, outcome.place)
                if _is_of_the_place(outcome.error) and len(failed_at) < TRIES:
                    why = str(outcome.error) or type(outcome.error).__name__
                    _log.warning("%s: %s; it is tried again", outcome.output, why)
                    self.submit(number, failed_at)
                    continue
                found[number] = outcome
                self.told(outcome)
        except BaseException:
            for future in self.pending:
                future.cancel()
            for session in list(_opened.values()):  # threads of this process
                session.cancel()
            raise
        return [found[number] for number in range(len(self.tasks))]

    def submit(self, number: int, failed_at: tuple[str, ...]) -> None:
        try:
            where = cluster.elsewhere(self.executor, failed_at)
            future = self.executor.submit(_work, self.tasks[number], **where)
        except BrokenExecutor as error:  # its processes died
            future = Future()
            future.set_exception(error)
        self.pending[future] = (number, failed_at)
        future.add_done_callback(self.ended.put)


def _outcome(task: _Task, future: Future[Outcome]) -> Outcome:
    try:
        outcome = future.result()
    except Exception as error:  # its process died, or the executor dropped it
        return Outcome(task.output, error=error)
    if outcome.error is None and not os.path.lexists(task.output):
        words = f"{task.output}: {outcome.place} wrote it, but here it is not; workers need the "
        return Outcome(task.output, error=OSError(words + "same folder under the same path"))
    return outcome


def _is_of_the_place(error: Exception | None) -> bool:
    """Whether a job may do better elsewhere."""
    own = (InvalidArgumentError, TypeError, BrokenExecutor)
    return error is not None and not isinstance(error, own) and not cluster.gave_up(error)
