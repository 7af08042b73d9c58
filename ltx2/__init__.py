"""Video from a prompt, and from a prompt and images, with LTX-2.3 on the machine at hand.

>>> import ltx2
>>> with ltx2.Session() as session:  # the demo model; or ltx2.Session("folder/with/ltx-2.3")
...     video = session.t2v("a red circle moves right on a blue background")
>>> video.save("circle.mp4")
"""

from .errors import (
    CancelledError,
    DeviceError,
    Error,
    InternalError,
    InvalidArgumentError,
    ModelError,
    OutOfMemoryError,
)
from .session import Options, Session, capabilities, describe, devices
from .video import Progress, Video

__version__ = "0.1.0"

__all__ = [
    "CancelledError",
    "DeviceError",
    "Error",
    "InternalError",
    "InvalidArgumentError",
    "ModelError",
    "Options",
    "OutOfMemoryError",
    "Progress",
    "Session",
    "Video",
    "__version__",
    "capabilities",
    "describe",
    "devices",
]
