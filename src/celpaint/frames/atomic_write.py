"""Results are written aside, brought to the disk, and only then given their name."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av.error

from celpaint.errors import CelpaintError, DiskFull, OutputError

__all__ = ["aside", "claim", "disk_errors", "remove", "rename", "write_file"]

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def aside(path: Path) -> Path:
    """The hidden neighbor in which ``path`` is prepared: same folder, so that renaming is one step."""
    return path.with_name(f".{path.name}.part")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns what the system says about writing ``path`` into one :class:`OutputError` or :class:`DiskFull`."""
    try:
        yield
    except CelpaintError:
        raise
    except Exception as error:
        number = getattr(error, "errno", None)
        if number in _FULL:
            raise DiskFull(
                f"the disk has no room for '{path}'", todo="Make room and run the same command again."
            ) from error
        if isinstance(error, OSError):
            reason = os.strerror(number) if isinstance(number, int) and number > 0 else str(error)
            raise OutputError(
                f"'{path}' can't be written ({reason})",
                wanted="a place that may be written to",
                todo="Choose another --out, or change its permissions.",
            ) from error
        if isinstance(error, av.error.FFmpegError):
            raise OutputError(
                f"the codec of '{path}' refuses these frames ({error.strerror})",
                wanted="a size that it can hold",
                todo="Choose another kind of file, or a folder.",
            ) from error
        raise


def claim(path: Path) -> None:
    """Make the folder and an empty file aside, so that a place that can't be written to is known at once.

    Raises:
        OutputError, DiskFull: it can't be.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside(path).write_bytes(b"")


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file or none."""
    part = aside(path)
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def rename(part: Path, path: Path) -> None:
    """Bring a finished file or folder to the disk, then give it its name."""
    _sync(part)
    part.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows can't open a folder to flush it
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or folder of ours, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
