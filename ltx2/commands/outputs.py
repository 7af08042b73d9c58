"""Where a clip goes: its name, what may be replaced, how it is saved, and what if that fails."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltx2 import media, writer
from ltx2._process import say
from ltx2.sound import Sound

from .terminal import can_answer, said

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import ltx2

_LONGEST = 40  # letters of a prompt in a name
# Options that name files to be read; arguments may too.
_READ = {
    "images", "sound", "features", "noise", "model", "loras", "prompts", "enhance_instructions",
}  # fmt: skip


class Kept(click.Abort):
    """What was there is not to be replaced."""


@dataclass
class Output:
    """A path, as it is given; or one that nothing has yet, which `stem` begins."""

    path: str
    stem: str = ""

    @staticmethod
    def of(given: str | None, name: str) -> Output:
        """What `-o` says; without it, and in a folder that it says, one that is called `name`."""
        if given is not None and not is_folder(given):
            return Output(given)
        stem = os.path.join(given or "", name)  # noqa: PTH118 - as it is given
        return Output(_free(stem), stem)

    def check(self, about: Mapping[str, Any], *, yes: bool) -> None:
        """Refuse what could not be written, and what someone who is asked wants to keep."""
        known = (
            "width", "height", "frames", "fps", "temporal_upscalings", "audio", "maybe_one"
        )  # fmt: skip
        media.check_output(self.path, **{name: about.get(name) for name in known})
        if not self.stem and os.path.lexists(media.target_of(self.path)):
            replaces(self.path, yes=yes)

    def save(self, video: ltx2.Video) -> None:
        """If that fails, nothing is lost: sound and frames are kept, or at least the latents."""
        try:
            while not self._saved(video):
                self.path = _free(self.stem)
        except Exception:
            _keep(video, self.path)
            raise

    def _saved(self, video: ltx2.Video) -> bool:
        """False where another run took the name meanwhile."""
        try:
            video.save(self.path, replace=not self.stem)
        except FileExistsError:
            return False
        return True


def replaces(path: str, *, yes: bool) -> None:
    """Say that what is there goes; someone at a terminal is asked."""
    if yes:
        return
    if can_answer():
        if not click.confirm(f"ltx2: {path} is there; replace it?", err=True):
            raise Kept(f"{path}: is there, and stays")
    elif not said().quiet:
        say(f"{path}: is there, and is replaced once the new one is complete")


def check_file(path: str, *, yes: bool) -> None:
    """Of a command that writes one, which is no clip."""
    check_names({"-o": path})
    writer.check(path)
    if os.path.lexists(path):
        replaces(path, yes=yes)


def check_names(files: Mapping[str, str | os.PathLike[str] | None]) -> None:
    """Refuse outputs, by their flags, where one would replace another, or what the command reads.

    That of -o may be a folder, which is replaced with all that is in it.
    """
    given = {f: file for f, file in files.items() if (f, file) != ("--preview", "-")}
    places = {f: str(writer.real(file)) for f, file in given.items() if file is not None}
    seen: dict[str, str] = {}
    for flag, place in places.items():
        if flag != "-o" and place == places["-o"]:
            raise click.UsageError(f"{flag} names the output; the video would replace it")
        if flag != "-o" and holds(places["-o"], place):
            raise click.UsageError(f"{flag} names a file in the folder that the frames replace")
        if (other := seen.setdefault(place, flag)) != flag:
            raise click.UsageError(f"{flag} and {other} name the same file")
        if lost := next((name for name in _read() if holds(place, os.path.realpath(name))), None):
            raise click.UsageError(f"{flag} would replace {lost}, which is read; name another file")


def holds(place: str, path: str) -> bool:
    """Whether what is written at the first replaces the second."""
    return path == place or path.startswith(place + os.sep)


def _read() -> Iterator[str]:
    """The files that the command line names to be read."""
    context = click.get_current_context()
    texts = () if context.params.get("features") else ("prompt",)  # else it is the first file
    for parameter in context.command.params:
        name = str(parameter.name)
        if name in _READ or (isinstance(parameter, click.Argument) and name not in texts):
            given = context.params[name]
            for word in given if isinstance(given, (tuple, dict)) else (given,):
                if isinstance(word, str):  # IMAGE@FRAME:STRENGTH among them
                    yield from filter(os.path.lexists, (word, word.rpartition("@")[0]))


def named(prompt: str, seed: int | None = None) -> str:
    """A name for a clip: the first words of its prompt, and its seed."""
    letters = "".join(c if c.isalnum() else " " for c in prompt.lower()[:200])
    name = ""
    for word in letters.split():
        if len(name) + len(word) >= _LONGEST:
            break
        name += f"-{word}" if name else word
    name = name or letters.replace(" ", "")[:_LONGEST] or "clip"
    return name if seed is None else f"{name}-{seed}"


def is_folder(path: str) -> bool:
    """And not one of frames, which a new one replaces."""
    if path.endswith(("/", os.sep)):
        return True
    return os.path.isdir(path) and not Path(path).suffix  # noqa: PTH112 - of any path


def _free(stem: str) -> str:
    names = itertools.chain([f"{stem}.mp4"], (f"{stem}-{i}.mp4" for i in itertools.count(2)))
    return next(name for name in names if not os.path.lexists(name))


def _keep(video: ltx2.Video, output: str) -> None:
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
    if video.audio is not None:
        heard = media.rescue(output, {"sound": Sound(video.audio, video.sample_rate)})
        say(f"the sound is kept in {heard[1]}" if heard else "nor could the sound be kept anywhere")
