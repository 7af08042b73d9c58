"""What the library made, as arrays over its own memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ._native import ffi
from .video import Video

if TYPE_CHECKING:
    from numpy.typing import NDArray


def view(owner: Any, data: Any, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    """A read-only array over memory that `owner` frees.

    A buffer keeps only the pointer it was made from alive, so the pointer keeps the owner.
    """
    pointer = ffi.gc(data, lambda _: owner)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    array: NDArray[Any] = np.frombuffer(ffi.buffer(pointer, size), dtype).reshape(shape)
    array.flags.writeable = False
    return array


def latents_view(owner: Any, latents: Any) -> NDArray[np.float32]:
    shape = (latents.channels, latents.frames, latents.height, latents.width)
    return view(owner, latents.values, np.float32, shape)


def video_of(owner: Any, metadata: dict[str, Any]) -> Video:
    frames = view(owner, owner.pixels, np.uint8, (owner.frames, owner.height, owner.width, 3))
    latents = latents_view(owner, owner.latents)
    size = {"width": owner.width, "height": owner.height, "frames": owner.frames, "fps": owner.fps}
    return Video(frames, owner.fps, latents, {**size, **metadata})
