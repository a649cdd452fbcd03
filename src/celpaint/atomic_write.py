"""Files and folders appear complete or not at all: written under another name, flushed to disk, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from celpaint.errors import CelpaintError, DiskFull, OutputError

__all__ = [
    "aside",
    "claim",
    "disk_errors",
    "flush",
    "hidden_neighbor",
    "place",
    "remove",
    "rename",
    "replacing",
    "write_file",
    "write_text",
]

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_CANNOT_FLUSH = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EACCES, errno.EPERM}
"""What drives answer that can't flush a folder, or a file: nothing is wrong with what was written."""

_SHORTEST_LIMIT = 143
"""Bytes of a name that every file system takes; eCryptfs takes the fewest."""


def place(path: str | Path) -> Path:
    """Where something written to ``path`` ends up: absolute, and behind all links."""
    return Path(os.path.realpath(path))


def hidden_neighbor(path: Path, kind: str) -> Path:
    """A hidden name beside the place of ``path``, on the same disk, short enough for any file system."""
    real = place(path)
    name = f".{real.name}.{kind}"
    if len(os.fsencode(name)) > _SHORTEST_LIMIT:
        name = f".{hashlib.sha256(os.fsencode(real.name)).hexdigest()[:16]}.{kind}"
    return real.with_name(name)


def aside(path: Path) -> Path:
    """The hidden neighbor in which ``path`` is prepared: same folder, so that renaming is one step."""
    return hidden_neighbor(path, "part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write a file or folder to.

    When the block ends, what was written is flushed to the disk and takes the place of ``path``. When the block raises,
    it is removed and ``path`` stays as it was.

    >>> with replacing(out / "weights.safetensors") as part:  # doctest: +SKIP
    ...     save_file(tensors, part)
    """
    part = aside(path)
    remove(part)
    try:
        yield part
        rename(part, path)
    except BaseException:
        remove(part)
        raise


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file or none."""
    with replacing(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, UTF-8, or none."""
    write_file(path, text.encode())


def claim(path: Path) -> None:
    """Make the folder and an empty file aside, so that a place that can't be written to is known at once.

    Raises:
        OutputError, DiskFull: it can't be.
    """
    with disk_errors(path):
        aside(path).parent.mkdir(parents=True, exist_ok=True)
        aside(path).write_bytes(b"")


def rename(part: Path, path: Path) -> None:
    """Flush a finished file or folder to the disk, then give it its name.

    An older folder of that name is replaced. An older file is too, and its permissions are kept; if ``path`` is a link,
    what it leads to is replaced and the link stays.
    """
    path = place(path)
    flush(part)
    if part.is_dir() and path.is_dir() and any(path.iterdir()):
        old = hidden_neighbor(path, "old")
        remove(old)
        path.rename(old)
        part.rename(path)
        remove(old)
    else:
        if part.is_file() and path.is_file():
            with suppress(OSError):  # a drive without permissions, or a file of somebody else's
                shutil.copymode(path, part)
        part.replace(path)
    flush(path.parent, inside=False)


def remove(path: Path) -> None:
    """Remove a file or folder of ours, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
                wanted="a place with write permission",
                todo="Choose another --out, or change its permissions.",
            ) from error
        if _is_codec_error(error):
            raise OutputError(
                f"the codec of '{path}' refuses these frames ({getattr(error, 'strerror', error)})",
                wanted="a size that it can hold",
                todo="Choose another kind of file, or a folder.",
            ) from error
        raise


def _is_codec_error(error: Exception) -> bool:
    from av.error import FFmpegError  # here, so that writing a text file does not load a video library

    return isinstance(error, FFmpegError)


def flush(path: Path, *, inside: bool = True) -> None:
    """Bring a file, or a folder and (``inside``) everything in it, to the disk, as far as the drive can."""
    if path.is_dir():
        for child in path.iterdir() if inside else ():
            flush(child)
        if os.name == "nt":
            return  # Windows can't open a folder to flush it
    descriptor = None
    try:
        descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
    finally:
        if descriptor is not None:
            os.close(descriptor)
