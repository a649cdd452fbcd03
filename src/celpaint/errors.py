"""Errors, and what to do about them.

    CelpaintError            every error that is not a bug; exit code 2
    ├── InputError           something given to read is missing, broken or does not fit
    │   └── ReferenceFrameError   ... and it is a painted reference
    ├── OptionError          an option has a value that is not allowed
    ├── OutputError          the result can't be written where it was asked for
    ├── WeightsError         weights are missing, broken or of another network
    ├── Cancelled            the run was canceled; exit code 130
    ├── TrainingError        training can't continue
    ├── MissingExtra         an optional package is not installed
    └── ResourceError        the machine lacks a resource
        ├── DeviceError      the requested device is not available
        ├── OutOfMemory      ... memory
        └── DiskFull         ... disk

Every message says what was seen, what was wanted and what to do.
"""

from __future__ import annotations

__all__ = [
    "Cancelled",
    "CelpaintError",
    "DeviceError",
    "DiskFull",
    "InputError",
    "MissingExtra",
    "OptionError",
    "OutOfMemory",
    "OutputError",
    "ReferenceFrameError",
    "ResourceError",
    "TrainingError",
    "WeightsError",
]


class CelpaintError(Exception):
    """Base of all errors that a user can fix.

    Args:
        seen: what was found, with the file or value.
        wanted: what was expected; empty if ``seen`` says it.
        todo: what to do, a full sentence or a command.
    """

    exit_code = 2

    def __init__(self, seen: str, *, wanted: str = "", todo: str = "") -> None:
        self.seen, self.wanted, self.todo = seen, wanted, todo
        sentence = seen.rstrip(".")
        if wanted:
            sentence += f"; wanted {wanted.rstrip('.')}"
        super().__init__(f"{sentence}. {todo}".strip())


class InputError(CelpaintError):
    """Something given to read is missing, broken or does not fit."""


class ReferenceFrameError(InputError):
    """A painted reference is missing, broken or belongs to no frame of the shot."""


class OptionError(CelpaintError):
    """An option has a value that is not allowed."""


class OutputError(CelpaintError):
    """The result can't be written where it was asked for."""


class WeightsError(CelpaintError):
    """Weights are missing, broken or of another network."""


class Cancelled(CelpaintError):
    """The run was canceled."""

    exit_code = 130


class TrainingError(CelpaintError):
    """Training can't continue."""


class MissingExtra(CelpaintError):
    """An optional package is not installed.

    Args:
        package: the package that could not be imported.
        extra: the extra of celpaint that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package '{package}', which is not installed",
            todo=f"Install it with: pip install 'celpaint[{extra}]'",
        )


class ResourceError(CelpaintError):
    """The machine lacks a resource."""


class DeviceError(ResourceError):
    """The requested device is not available."""


class OutOfMemory(ResourceError):
    """The device or the machine has too little memory for these settings."""


class DiskFull(ResourceError):
    """The disk has no room for the result."""
