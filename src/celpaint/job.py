"""A run that may stop anywhere and goes on after its last whole chunk.

Beside the result ``OUT`` lies a hidden folder ``.OUT.celpaint`` while the run is under way, or ``.celpaint`` inside it
where it is a folder that exists, so that all lies on the result's own disk:

    request.json         what was asked: options, versions, weights
    done.json            a sum, the chunks that are done, and the inputs that each was made from
    states/...           the method's state after each chunk, named by a sum of its content
    ...                  whatever the path stages, colored frames above all
    lock                 held while a run is alive; the system lets go of it when the run dies, however it dies

``done.json`` is replaced as a whole after every chunk, once the chunk's frames are staged. It is the only truth about
how far the run has come: what was staged after it does not count and is made again. Where inputs have changed since,
each scene keeps its chunks up to the first that was made from one of them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from celpaint.atomic_write import disk_errors, hidden_neighbor, place, write_file
from celpaint.errors import OutputError
from celpaint.types import Chunk, Judgement, State

__all__ = ["Inputs", "Job", "content_sum"]

log = logging.getLogger("celpaint")


@dataclass(frozen=True)
class Inputs:
    """What a shot's drawings are made from, as texts that change when it changes.

    Attributes:
        scenes: the drawings of every scene, in order; together all drawings.
        paintings: of every scene, its painted frames and where they belong.
        drawings: of every drawing, its file's name and content.
        names: what to call every drawing.
    """

    scenes: tuple[range, ...]
    paintings: tuple[str, ...]
    drawings: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Done:
    """A chunk that is done.

    Attributes:
        scene: its first drawing, and the one after its last.
        paintings: of the scene.
        drawings: the chunk's drawings.
        judged: what is known of the confidence of each.
        read: the drawings that were looked at for it and for no earlier chunk of the scene.
        state: the sum of the state after it, empty where there is none.
    """

    scene: tuple[int, int]
    paintings: str
    drawings: tuple[int, ...]
    judged: tuple[Judgement | None, ...]
    read: dict[int, str] = field(default_factory=dict)
    state: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> _Done:
        """From what :func:`json.loads` gives."""
        judged = tuple(None if each is None else Judgement(**each) for each in stored["judged"])
        read = {int(drawing): identity for drawing, identity in stored["read"].items()}
        start, stop = stored["scene"]
        return cls((start, stop), stored["paintings"], tuple(stored["drawings"]), judged, read, stored["state"])


class Job:
    """The run that makes one result; a context that is entered once, and then :meth:`begin` is called.

    Leaving it after :meth:`finish` removes the folder. Leaving it by an error keeps what is done for the next run.

    Args:
        out: the result's path; the job lies beside it.

    Attributes:
        folder: the job's folder.
        cache: a folder for what this run alone keeps on the disk.

    Raises:
        OutputError: on entering, when another run makes this result right now, or nothing can be written there.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = _workplace(out)
        self.cache = self.folder / "cache"
        self._done: list[_Done] = []
        self._inputs = Inputs((), (), (), ())
        self._begun = self._finished = False

    @property
    def drawings(self) -> tuple[int, ...]:
        """Indices of the drawings colored so far, in the order in which they were colored."""
        return tuple(drawing for done in self._done for drawing in done.drawings)

    @property
    def judged(self) -> dict[int, Judgement | None]:
        """What is known of the confidence of each of :attr:`drawings`."""
        return {d: judged for done in self._done for d, judged in zip(done.drawings, done.judged, strict=True)}

    @property
    def scenes(self) -> dict[int, Chunk]:
        """By the first drawing of each scene that was begun: what of it is colored, without the pictures, and the state
        to go on from."""
        begun: dict[int, Chunk] = {}
        for done in self._done:
            earlier = begun.get(done.scene[0], Chunk((), ()))
            begun[done.scene[0]] = Chunk((*earlier.drawings, *done.drawings), (), self._state(done.state))
        return begun

    def __enter__(self) -> Job:
        with disk_errors(self.out):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("ab")
        if _is_held(self._lock):
            self._lock.close()
            raise OutputError(
                f"another run is writing '{self.out}' right now",
                wanted="one run at a time",
                todo="Wait for it, or give another --out.",
            )
        shutil.rmtree(self.cache, ignore_errors=True)  # of a run that was killed
        return self

    def begin(
        self,
        request: Mapping[str, str],
        inputs: Inputs,
        damaged: Callable[[Collection[int]], Collection[int]] = lambda drawings: (),
    ) -> None:
        """Find out what an earlier run has done and what of it still holds, and say what does not.

        Args:
            request: all that decides every drawing, by name.
            inputs: what the drawings are made from now.
            damaged: those of some drawings whose staged frames can't be used any more.

        Raises:
            OutputError, DiskFull: the request can't be stored.
        """
        self._inputs = inputs
        earlier = _read_json(self.folder / "request.json")
        if earlier != dict(request):
            if earlier is not None:
                changed = sorted(k for k in earlier.keys() | request.keys() if earlier.get(k) != request.get(k))
                log.warning("an earlier run was interrupted, but %s changed since: starting again", _listed(changed))
            self._clear()
            with disk_errors(self.out):
                write_file(self.folder / "request.json", json.dumps(dict(request), indent=1).encode())
        self._done = self._kept(self._load(), damaged)
        self._begun = True

    def _load(self) -> list[_Done]:
        try:
            sum_, _, text = (self.folder / "done.json").read_text(encoding="utf-8").partition("\n")
            if _sum(text.encode()) != sum_:
                raise ValueError("it has changed since it was written")
            return [_Done.of(each) for each in json.loads(text)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("an earlier run was interrupted, but its state can't be read (%s): starting again", error)
            return []

    def _kept(self, done: list[_Done], damaged: Callable[[Collection[int]], Collection[int]]) -> list[_Done]:
        """The chunks that still hold: of every scene those before the first that does not."""
        bad = set(damaged({drawing for each in done for drawing in each.drawings}))
        kept: list[_Done] = []
        ended: dict[tuple[int, int], str] = {}
        for each in done:
            why = ended.get(each.scene) or self._why_not(each, bad)
            if why:
                ended.setdefault(each.scene, why)
            else:
                kept.append(each)
        kept = self._without_unreadable_ends(kept, ended)
        if ended:
            total, left = (sum(len(each.drawings) for each in some) for some in (done, kept))
            log.warning(
                "%s since an earlier run was interrupted: %d of %d colored drawings must be colored again",
                *(_listed(sorted(set(ended.values()))), total - left, total),
            )
        return kept

    def _why_not(self, done: _Done, damaged: set[int]) -> str:
        """Why a chunk does not hold any more, empty where it does."""
        inputs = self._inputs
        scenes = [(scene.start, scene.stop) for scene in inputs.scenes]
        if done.scene not in scenes:
            return "the number of drawings or the cuts changed"
        if done.paintings != inputs.paintings[scenes.index(done.scene)]:
            return "the paintings changed"
        changed = [drawing for drawing, identity in done.read.items() if inputs.drawings[drawing] != identity]
        if changed:
            return f"'{inputs.names[changed[0]]}' changed"
        broken = sorted(damaged.intersection(done.drawings))
        if broken:
            return f"the staged '{inputs.names[broken[0]]}' was damaged"
        return ""

    def _without_unreadable_ends(self, kept: list[_Done], ended: dict[tuple[int, int], str]) -> list[_Done]:
        """The same without last chunks of a scene after which nothing can go on."""
        for scene in {each.scene for each in kept}:
            last = [each for each in kept if each.scene == scene]
            while last and last[-1].state and self._read_state(last[-1].state) is None:
                kept.remove(last.pop())
                ended[scene] = "the stored state was damaged"
        return kept

    def commit(
        self,
        drawings: Sequence[int],
        state: State,
        judged: Sequence[Judgement | None],
        read: Collection[int] = (),
    ) -> None:
        """Call a chunk done: from now on a stopped run goes on after it.

        Args:
            drawings: the chunk's drawings; all of them are staged. Without any, the chunk takes the place of an earlier
                one without any of the same scene.
            state: what the method needs to go on.
            judged: what is known of the confidence of each of the chunk's drawings.
            read: the drawings that were looked at so far.

        Raises:
            DiskFull, OutputError: it can't be stored.
        """
        scene, paintings = self._scene_at_work()
        before = [each for each in self._done if each.scene == (scene.start, scene.stop)]
        known = {drawing for each in before for drawing in each.read}
        new = {drawing: self._inputs.drawings[drawing] for drawing in {*read, *drawings} - known if drawing in scene}
        others = list(self._done)
        if before and not before[-1].drawings:
            others.remove(before[-1])
            new |= before[-1].read
        with disk_errors(self.out):
            name = self._write_state(state)
            done = _Done((scene.start, scene.stop), paintings, tuple(drawings), tuple(judged), new, name)
            text = json.dumps([asdict(each) for each in (*others, done)])
            write_file(self.folder / "done.json", f"{_sum(text.encode())}\n{text}".encode())
            self._done = [*others, done]
            self._forget_states()

    def _scene_at_work(self) -> tuple[range, str]:
        """The first scene that is not done, and its paintings: scenes are colored one after the other."""
        colored = set(self.drawings)
        for scene, paintings in zip(self._inputs.scenes, self._inputs.paintings, strict=True):
            if not colored.issuperset(scene):
                return scene, paintings
        raise ValueError("all drawings are done")

    # -- states -----------------------------------------------------------------------------------------------

    def _write_state(self, state: State) -> str:
        from safetensors.numpy import save

        if not state:
            return ""
        data = save({name: np.require(array, requirements="C") for name, array in state.items()})
        name = _sum(data)
        file = self.folder / "states" / name
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            write_file(file, data)
        return name

    def _read_state(self, name: str) -> bytes | None:
        """A state's bytes, None where they are gone or not as they were written."""
        try:
            data = (self.folder / "states" / name).read_bytes()
        except OSError:
            return None
        return data if _sum(data) == name else None

    def _state(self, name: str) -> State:
        from safetensors.numpy import load

        data = self._read_state(name) if name else None
        return {} if data is None else load(data)

    def _forget_states(self) -> None:
        """Remove the states that no chunk names."""
        used = {each.state for each in self._done}
        if (self.folder / "states").is_dir():
            for file in (self.folder / "states").iterdir():
                if file.name not in used:
                    file.unlink()

    def finish(self) -> None:
        """The result is in its place: the folder goes when the context is left."""
        self._finished = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)
        worth_keeping = bool(self._done) and not self._finished
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


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def content_sum(path: Path) -> str:
    """A sum of a file's content. It is read again only where its size or the time of its last change is another.

    Raises:
        OSError: it can't be read.
    """
    status = path.stat()
    return _content_sum(path.absolute(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2**16)
def _content_sum(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


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
        log.info("this drive can't lock files, so celpaint can't check that no other run writes the same result")
    return False


def _read_json(path: Path) -> dict[str, str] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
