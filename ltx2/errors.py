"""What can go wrong, one class a status of ltx2.h.

Error
├── InvalidArgumentError   also ValueError
├── ModelError             a file is missing, unreadable, or not LTX-2
├── OutOfMemoryError       also MemoryError
├── DeviceError            no such device, or it failed
├── CancelledError         Session.cancel() was called
└── InternalError          a defect of this library
"""

from .text import visible


class Error(Exception):
    """Everything this package raises on purpose; its text is one line for a person to read."""

    def __str__(self) -> str:
        return visible(super().__str__())


class InvalidArgumentError(Error, ValueError):
    """An argument that cannot be used; the text names it and its value."""


class ModelError(Error):
    """A model file that is missing, unreadable, or not LTX-2."""


class OutOfMemoryError(Error, MemoryError):
    """The machine or the device has too little memory for what was asked."""


class DeviceError(Error):
    """There is no such device, or it failed."""


class CancelledError(Error):
    """`Session.cancel()` stopped the call."""


class InternalError(Error):
    """A defect of this library; please report it."""
