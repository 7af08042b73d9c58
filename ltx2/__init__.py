"""Video from a prompt, and from a prompt and images, with LTX-2 on the machine at hand.

>>> import ltx2
>>> with ltx2.Session() as session:  # the demo model; or ltx2.Session("folder/with/ltx-2.3")
...     video = session.t2v("a red circle moves right on a blue background")
>>> video.save("circle.mp4")
"""

import importlib as _importlib
import typing as _typing

from . import _library

if _typing.TYPE_CHECKING:
    from . import batch as batch
    from . import convert as convert
    from . import hub as hub
    from .about import capabilities, describe, devices, try_devices
    from .enhancing import Enhanced, Enhancing
    from .errors import (
        CancelledError,
        DeviceError,
        Error,
        InternalError,
        InvalidArgumentError,
        ModelError,
        OutOfMemoryError,
    )
    from .given import Reference
    from .request import Features, Options
    from .session import Session
    from .video import Progress, Video

__version__ = "0.1.0"

__all__ = [
    "CancelledError",
    "DeviceError",
    "Enhanced",
    "Enhancing",
    "Error",
    "Features",
    "InternalError",
    "InvalidArgumentError",
    "ModelError",
    "Options",
    "OutOfMemoryError",
    "Progress",
    "Reference",
    "Session",
    "Video",
    "__version__",
    "capabilities",
    "describe",
    "devices",
    "try_devices",
]

_MODULES = {"batch", "convert", "hub"}

_library.find()  # or ImportError, now


def __getattr__(name: str) -> _typing.Any:
    """All public names, when one is first used: the command handles Ctrl-C before NumPy is read."""
    if name in _MODULES:
        return _importlib.import_module(f".{name}", __name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import about, enhancing, errors, given, request, session, video

    for module in (about, enhancing, errors, given, request, session, video):
        globals().update((key, value) for key, value in vars(module).items() if key in __all__)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
