"""What is left of a run that did not come to its end, and of one that did: jobs, and clips that are
made again from their metadata.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import media, tensors, writer
from .about import capabilities
from .errors import Error, InvalidArgumentError
from .given import Given
from .request import TEXT_PARTS, Image, Options, Request, features_of, hash_of, image_of, parts_of
from .text import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

_log = logging.getLogger("ltx2")


class MadeBy(NamedTuple):
    """A model, as a clip's metadata name it."""

    parts: dict[str, str]
    """Fingerprints."""
    loras: dict[str, float]
    """The names of adapters, with their strengths."""


_NOT_ADAPTED = {"text_encoder", "video_vae", "audio_vae", "vocoder"}


@dataclass(eq=False)
class Job:
    """A run, as its file has it: as it begins, when the prompt is encoded, after each step."""

    path: Path
    request: Request
    model: list[str]
    """The files that it runs."""
    loras: dict[str, float]
    """The adapters, with their strengths."""
    output: str | None
    """Where the video will be saved, if that is known."""
    parts: dict[str, str]
    """Fingerprints of the model; empty until it begins."""

    @staticmethod
    def begin(
        path: str | os.PathLike[str],
        request: Request,
        model: list[str],
        loras: dict[str, float],
        output: str | os.PathLike[str] | None,
    ) -> Job:
        if os.path.lexists(path):
            raise InvalidArgumentError(
                f"{os.fspath(path)}: is there already; `ltx2 resume` goes on with a job, another "
                "one needs another name"
            )
        writer.check(path)
        return Job(Path(path), request, model, loras, _place(output), {})

    @staticmethod
    def load(path: str | os.PathLike[str], output: str | os.PathLike[str] | None = None) -> Job:
        """With another `output` if one is given. Raises InvalidArgumentError for what is no job."""
        about, arrays = tensors.read(path, "job")
        request = _request(path, about.get("settings"), about)
        if "features" in arrays:
            request.features = features_of(path, about, arrays)
        request.images = _images(path, about, arrays)
        request.crf = about.get("crf")
        request.given = _given(path, about, arrays)
        request.step, request.state = about.get("step", 0), arrays.get("state")
        if "noise" in arrays:
            request.options["noise"] = arrays["noise"]
        model, output = about.get("model"), _place(output) or about.get("output")
        loras = about.get("loras", {})
        if (
            not isinstance(model, list)
            or not all(isinstance(word, str) for word in [*model, "" if output is None else output])
            or type(request.step) is not int
            or not isinstance(loras, dict)
            or not all(type(strength) is float for strength in loras.values())
        ):
            raise InvalidArgumentError(f"{path}: is no job file: its words are damaged")
        return Job(Path(path), request, model, loras, output, parts_of(path, about))

    def check(self, parts: Mapping[str, str], model: list[str], loras: dict[str, float]) -> None:
        """Refuse to go on with another model: it would not be the same video.

        The same may lie elsewhere by now, and that is where the next run finds it.
        """
        encoded = TEXT_PARTS if self.request.features else ()
        for part, made_by in self.parts.items():
            if part not in encoded and made_by != parts.get(part):
                title, where = f"another {_title(part)}", ", ".join(self.model)
                if _named(self.loras) != _named(loras):
                    title = "other adapters"
                if self.loras or loras:
                    where += f" and {_words(self.loras)}"
                raise InvalidArgumentError(
                    f"{self.path}: was begun with {title}; go on with the model in {where}"
                )
        self.parts = self.parts or dict(parts)
        self.model, self.loras = model, loras

    def stepped(self, step: int, state: NDArray[np.float32], _predicted: Any) -> None:
        self.request.step, self.request.state = step, state
        self.keep()

    def keep(self) -> None:
        """Save where the run is; if that fails it goes on, and the file is as it was."""
        try:
            self.save()
        except (OSError, Error) as error:
            _log.warning("job: step %d is not saved: %s", self.request.step, error)

    def save(self) -> None:
        request = self.request
        options = {name: value for name, value in request.options.items() if name != "noise"}
        features = request.features
        about: dict[str, Any] = {
            "prompt": request.prompt, "enhanced_from": request.enhanced_from,
            "settings": options, "step": request.step,
            "images": [image.about() for image in request.images], "crf": request.crf,
            "model": self.model, "loras": self.loras, "output": self.output, "parts": self.parts,
            **request.given.about(),
        }  # fmt: skip
        arrays: dict[str, Any] = {
            **{f"image{i}": image.pixels for i, image in enumerate(request.images)},
            **request.given.arrays(),
        }
        if features:
            about["negative_prompt"] = features.negative_prompt
            arrays |= features.arrays()
        if request.options.get("noise") is not None:
            arrays["noise"] = request.options["noise"]
        if request.state is not None:
            arrays["state"] = request.state
        tensors.write(self.path, "job", about, arrays)


def _place(output: str | os.PathLike[str] | None) -> str | None:
    return None if output is None else os.path.abspath(output)  # noqa: PTH100 - links stay


def _request(path: str | os.PathLike[str], settings: Any, about: Mapping[str, Any]) -> Request:
    """What a file from anywhere says was asked for; the numbers are checked in C."""
    prompt, before = about.get("prompt"), about.get("enhanced_from")
    texts = isinstance(prompt, str) and isinstance(before, (str, type(None)))
    if not isinstance(settings, dict) or not texts:
        raise InvalidArgumentError(f"{path}: does not say what was asked for")
    options: dict[str, Any] = {}
    for name in Options.__annotations__.keys() & settings.keys() - {"noise"}:
        value = settings[name]
        if not isinstance(value, (int, float, str, type(None))):
            raise InvalidArgumentError(f"{path}: {name}: {value!r} cannot be used")
        options[name] = value
    if type(options.get("seed")) is not int:
        raise InvalidArgumentError(f"{path}: does not say which seed was used")
    return Request(str(prompt), options, enhanced_from=before)


def _given(
    path: str | os.PathLike[str], about: Mapping[str, Any], arrays: Mapping[str, Any]
) -> Given:
    try:
        return Given.of(about, arrays)
    except (KeyError, TypeError, ValueError, OverflowError, InvalidArgumentError) as error:
        raise InvalidArgumentError(f"{path}: does not hold what it was made from") from error


def _images(
    path: str | os.PathLike[str], about: Mapping[str, Any], arrays: Mapping[str, Any]
) -> list[Image]:
    images = []
    for i, entry in enumerate(_entries(path, about)):
        pixels = arrays.get(f"image{i}")
        if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != "u1":
            raise InvalidArgumentError(f"{path}: image {i + 1} is missing")
        images.append(Image(pixels=pixels, **entry))
    return images


def _entries(path: str | os.PathLike[str], about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a file says of the images, which are not in it."""
    kinds: dict[str, Any] = {"frame": int, "strength": (int, float), "name": str, "sha256": str}
    entries: list[dict[str, Any]] = about.get("images", [])
    good = isinstance(entries, list) and all(
        isinstance(entry, dict)
        and entry.keys() == kinds.keys()
        and all(isinstance(entry[key], kind) for key, kind in kinds.items())
        for entry in entries
    )
    if not good or not isinstance(about.get("crf"), (int, type(None))):
        raise InvalidArgumentError(f"{path}: does not say which images were used")
    return entries


def recipe(
    path: str | os.PathLike[str], images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
) -> tuple[Request, MadeBy]:
    """What a saved clip was made from, and by which model."""
    about = media.read_metadata(path)
    if "prompt" not in about:
        raise InvalidArgumentError(f"{path}: does not say how it was made, or not from a prompt")
    if "noise_sha256" in about:
        raise InvalidArgumentError(
            f"{path}: was made from noise of its own, which it does not hold"
        )
    if lacks := [name for name in ("references", "source", "sound") if name in about]:
        raise InvalidArgumentError(
            f"{path}: was made from a {lacks[0].removesuffix('s')}, which it does not hold"
        )
    request = _request(path, about, about)
    request.given.keyframes = bool(about.get("keyframes"))
    entries, request.crf = _entries(path, about), about.get("crf")
    given = {
        hash_of(media.read_image(image)): image
        for image in ([images] if isinstance(images, (str, os.PathLike)) else images)
    }
    for sha256, image in given.items():
        if sha256 not in [entry["sha256"] for entry in entries]:
            raise InvalidArgumentError(f"{image}: is not a picture that {path} was made from")
    if missing := [entry for entry in entries if entry["sha256"] not in given]:
        names = ", ".join(
            f"{visible(entry['name']) or 'one without a name'} (frame {entry['frame']}, SHA-256 of "
            f"its pixels {entry['sha256'][:16]})"
            for entry in missing
        )
        raise InvalidArgumentError(
            f"{path}: was made from pictures, which it does not hold; give {names}"
        )
    request.images = [
        image_of(e["frame"], given[e["sha256"]], e["strength"], request.crf or 0) for e in entries
    ]
    try:
        loras = {str(row["file"]): float(row["strength"]) for row in about.get("loras", [])}
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InvalidArgumentError(f"{path}: its loras are no adapters") from None
    return request, MadeBy(parts_of(path, about), loras)


def _named(loras: Mapping[str, float]) -> dict[str, str]:
    """By name, wherever they are; strengths as far as 32 bits tell them apart."""
    return {Path(file).name: f"{strength:.6g}" for file, strength in loras.items()}


def _words(loras: Mapping[str, float]) -> str:
    each = ", ".join(f"{visible(file)}:{strength:g}" for file, strength in loras.items())
    return f"the adapters {each}" if each else "no adapters"


def _title(part: str) -> str:
    known = {known["id"]: known["title"] for known in capabilities()["parts"]}
    return str(known.get(part, part))


def warn_of_model(made_by: MadeBy, parts: Mapping[str, str], loras: Mapping[str, float]) -> None:
    """Where a clip is made again by another one."""
    which = set(made_by.parts)
    if _named(made_by.loras) != _named(loras):
        _log.warning("replay: made with %s; the video will differ", _words(made_by.loras))
        which &= _NOT_ADAPTED  # of the others nothing tells what they are without adapters
    warn_of_parts("replay", made_by.parts, parts, which)


def warn_of_parts(
    what: str, made_by: Mapping[str, str], parts: Mapping[str, str], which: Collection[str]
) -> None:
    """Where a model's part is another one than that which made something, the video is another."""
    others = [p for p in which if p in made_by and p in parts and made_by[p] != parts[p]]
    if others:
        titles = ", ".join(map(_title, others))
        _log.warning("%s: made with another %s; the video will differ", what, visible(titles))
