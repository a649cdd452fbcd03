"""Standard output and error that never end a run.

Whoever reads them may stop (``| head``), there may be none (a service, a window without a console), their disk may be
full, and a console may lack letters of a file's name. The result is made all the same.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

__all__ = ["Patient", "settle_streams", "unwritten"]


class Patient(io.TextIOWrapper):
    """A text stream that goes silent at the first error, and writes letters that its encoding lacks as escapes.

    Attributes:
        failed: the error, None while there was none. A reader that stopped reading is none.
    """

    failed: OSError | None = None

    def write(self, text: str, /) -> int:
        """Write, or drop the text."""
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or drop what is kept."""
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if error.errno not in (errno.EPIPE, errno.EINVAL):  # Windows says EINVAL of a pipe without a reader
            self.failed = error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def settle_streams() -> None:
    """Make standard input, output and error exist, and output and error :class:`Patient`."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would take its place, and be printed into
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _patient(sys.stdout, 1)
    sys.stderr = _patient(sys.stderr, 2)


def unwritten() -> OSError | None:
    """Why standard output could not be written, None where it could."""
    sys.stdout.flush()
    return sys.stdout.failed if isinstance(sys.stdout, Patient) else None


def _patient(stream: Any, number: int) -> Patient:
    # A program that was started without the stream has None in its place.
    if stream is None:
        return Patient(io.FileIO(number, "w", closefd=False), encoding="utf-8", errors="backslashreplace")
    encoding, buffering = stream.encoding, stream.line_buffering
    return Patient(stream.detach(), encoding=encoding, errors="backslashreplace", line_buffering=buffering)
