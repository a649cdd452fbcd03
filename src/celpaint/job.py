"""A run that may stop anywhere and goes on after its last whole chunk.

Beside the result ``OUT`` lies a hidden folder ``.OUT.celpaint`` while the run is under way, or ``.celpaint`` inside it
where it is a folder that exists, so that all lies on the result's own disk:

    request.json         what was asked: inputs, options, versions
    state.safetensors    what is done, and the method's state to go on from
    ...                  whatever the path stages, colored frames above all
    lock                 held while a run is alive; the system lets go of it when the run dies, however it dies

``state.safetensors`` is replaced as a whole after every chunk, once the chunk's frames are staged. It is the only
truth about how far the run has come: what was staged after it does not count and is made again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from celpaint.atomic_write import disk_errors, hidden_neighbor, place, remove, write_file
from celpaint.errors import InputError, OutputError
from celpaint.types import State

__all__ = ["Job", "file_identity"]

log = logging.getLogger("celpaint")


class Job:
    """The run that makes one result; a context that is entered once, and then :meth:`begin` is called.

    Leaving it after :meth:`finish` removes the folder. Leaving it by an error keeps what is done for the next run,
    except where nothing is done yet, or where an input must change first, which makes it another run anyway.

    Args:
        out: the result's path; the job lies beside it.

    Attributes:
        folder: the job's folder.
        drawings: indices of the drawings colored so far, in the order in which they were colored.
        cache: a folder for what this run alone keeps on the disk.
        state: the method's state after them, None at the start.
        confidence: float32, mean confidence of each of ``drawings``, NaN where unknown.

    Raises:
        OutputError: on entering, when another run makes this result right now, or nothing can be written there.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = _workplace(out)
        self.cache = self.folder / "cache"
        self.drawings: tuple[int, ...] = ()
        self.state: State | None = None
        self.confidence = np.zeros(0, np.float32)
        self._begun = self._finished = False

    def __enter__(self) -> Job:
        with disk_errors(self.out):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("ab")
        if _is_held(self._lock):
            self._lock.close()
            raise OutputError(
                f"another run is making '{self.out}' right now",
                wanted="one run at a time",
                todo="Wait for it, or give another --out.",
            )
        shutil.rmtree(self.cache, ignore_errors=True)  # of a run that was killed
        return self

    def begin(self, request: Mapping[str, str]) -> None:
        """Find out what an earlier run has done, and begin anew if it was asked for something else.

        Args:
            request: all that decides the result's bytes, by name.

        Raises:
            OutputError, DiskFull: the request can't be stored.
        """
        earlier = _read_json(self.folder / "request.json")
        if earlier == dict(request):
            self._load()
        else:
            if earlier is not None:
                changed = sorted(k for k in earlier.keys() | request.keys() if earlier.get(k) != request.get(k))
                log.warning("an earlier run was stopped, but %s changed since: beginning anew", _listed(changed))
            self._clear()
            with disk_errors(self.out):
                write_file(self.folder / "request.json", json.dumps(dict(request), indent=1).encode())
        self._begun = True

    def _load(self) -> None:
        from safetensors import SafetensorError, safe_open

        path = self.folder / "state.safetensors"
        try:
            with safe_open(path, framework="np") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                if (file.metadata() or {}).get("sum") != _sum(tensors):
                    raise ValueError("it is not as it was written")
                if not tensors.keys() >= {"drawings", "confidence"}:
                    raise ValueError("it is of another version")
        except FileNotFoundError:
            return
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            log.warning("an earlier run was stopped, but its state can't be read (%s): beginning anew", error)
            return
        self.drawings = tuple(map(int, tensors.pop("drawings")))
        self.confidence = tensors.pop("confidence")
        self.state = {name.removeprefix("state."): array for name, array in tensors.items()}

    def commit(self, drawings: Sequence[int], state: State, confidence: Sequence[float]) -> None:
        """Call a chunk done: from now on a stopped run goes on after it.

        Args:
            drawings: the chunk's drawings; all of them are staged.
            state: what the method needs to go on.
            confidence: mean confidence of each of the chunk's drawings, NaN where unknown.

        Raises:
            DiskFull, OutputError: it can't be stored.
        """
        from safetensors.numpy import save

        colored = (*self.drawings, *drawings)
        known = np.concatenate([self.confidence, np.asarray(confidence, np.float32)])
        arrays = {f"state.{name}": np.require(array, requirements="C") for name, array in state.items()}
        arrays |= {"drawings": np.array(colored, np.int64), "confidence": known}
        with disk_errors(self.out):
            write_file(self.folder / "state.safetensors", save(arrays, metadata={"sum": _sum(arrays)}))
        self.drawings, self.state, self.confidence = colored, state, known

    def restart(self) -> None:
        """Forget what an earlier run has done: all is colored anew."""
        with disk_errors(self.out):
            remove(self.folder / "state.safetensors")
        self.drawings, self.state, self.confidence = (), None, np.zeros(0, np.float32)

    def finish(self) -> None:
        """The result is in its place: the folder goes when the context is left."""
        self._finished = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)
        worth_keeping = self.state is not None and not isinstance(error, InputError) and not self._finished
        if self._begun and not worth_keeping:
            with suppress(OutputError):
                self._clear()
        self._lock.close()
        if [entry.name for entry in self.folder.iterdir()] == ["lock"]:
            with suppress(OSError):  # another run may have begun the moment the lock was free
                (self.folder / "lock").unlink()
                self.folder.rmdir()

    def _clear(self) -> None:
        with disk_errors(self.out):
            for entry in self.folder.iterdir():
                if entry == self.cache:
                    continue
                if entry.is_dir():
                    shutil.rmtree(entry)
                elif entry.name != "lock":
                    entry.unlink()


def file_identity(path: Path) -> str:
    """What tells a file from what it was before, without reading it: its size and the time of its last change."""
    status = path.stat()
    return f"{status.st_size} bytes, changed {status.st_mtime_ns}"


def _workplace(out: Path) -> Path:
    """The folder for a run's work: inside a folder that exists, which may be a drive of its own, else beside."""
    real, beside = place(out), hidden_neighbor(out, "celpaint")
    return real / ".celpaint" if real.is_dir() and not beside.exists() else beside


_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
"""What systems answer when another process holds a lock; everything else means that the drive knows no locks."""


def _is_held(lock: IO[bytes]) -> bool:
    """Take the lock for as long as the file is open; True when another living process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return True
        log.info("this drive can't lock files, so nothing keeps a second run from making the same result")
    return False


def _sum(arrays: Mapping[str, np.ndarray]) -> str:
    """A sum of arrays and their names."""
    content = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        content.update(f"{name} {array.dtype} {array.shape}".encode())
        content.update(array.tobytes())
    return content.hexdigest()


def _read_json(path: Path) -> dict[str, str] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
