"""A clip in a notebook: HTML that holds all of it, so that it plays wherever that is opened.

The notebook carries those bytes from then on, so there is a limit to them.
"""

from __future__ import annotations

import base64
import html as text
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from . import media
from .errors import Error
from .text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .pictures import Pixels
    from .sound import Sound

_log = logging.getLogger("ltx2")
LIMIT = 8 << 20  # bytes of the file; base64 makes a third more of them
_LONGEST_SIDE = 1024  # of what is shown
_FACTORS = (1, 2, 3, 4, 6, 8, 12, 16)
_ELEMENTS = {
    "mp4": '<video controls autoplay loop muted title="{}" src="data:video/mp4;base64,{}"></video>',
    "webp": '<img alt="{}" src="data:image/webp;base64,{}">',
}


def html(frames: Pixels, fps: float, metadata: Mapping[str, Any], sound: Sound | None) -> str:
    """As .mp4, or as .webp where that has no H.264; "" where neither can be had in the limit."""
    longest = max(frames.shape[1:3])
    for factor in (factor for factor in _FACTORS if longest <= _LONGEST_SIDE * factor):
        smaller = _reduced(frames, factor)
        kind = "mp4" if media.browsers_play_mp4(smaller, fps) else "webp"
        try:
            data = media.encoded(kind, smaller, fps, metadata, sound if kind == "mp4" else None)
        except (Error, OSError) as error:
            _log.warning("video: is not shown: %s", error)
            return ""
        if len(data) <= LIMIT:
            title = text.escape(visible(str(metadata.get("prompt", ""))))
            return _ELEMENTS[kind].format(title, base64.b64encode(data).decode())
    _log.warning("video: is not shown, as it takes more than %d MiB", LIMIT >> 20)
    return ""


def _reduced(frames: Pixels, factor: int) -> Pixels:
    """So many times smaller, with even sides."""
    if factor == 1:
        return frames
    small = np.stack([np.asarray(Image.fromarray(frame).reduce(factor)) for frame in frames])
    _, height, width, _ = small.shape
    return small[:, : height // 2 * 2, : width // 2 * 2]
