"""A studio's own films -> training clips: shots, line art, optional latents, in WebDataset shards.

1. every video is opened; what can't be read is reported and left out
2. cuts are found by color histograms, in stretches of a film side by side
3. shots become shards, a shard a process; each appears whole or not at all, so that a stopped run goes on
4. the manifest lists them all
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np

from celpaint.atomic_write import aside, disk_errors, rename, write_file
from celpaint.conditions.lines import extract_lines, working_lines
from celpaint.errors import CelpaintError, InputError, OptionError
from celpaint.frames.read import open_clip
from celpaint.frames.resize import resize
from celpaint.frames.shots import find_cuts, split_shots
from celpaint.threads import available_cores, use_threads
from celpaint.types import Array, Clip, Event, FrameRead, FrameWritten, Progress

if TYPE_CHECKING:
    from torch import Tensor

    from celpaint.models.line_vae import Latents

__all__ = ["Prepared", "prepare"]

_STRETCH = 2000
"""Frames in which one process looks for cuts at a time."""

_SHARD = 1000
"""Frames a shard, unless a single shot is longer."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Settings:
    """What the result depends on; stored, so that a resumed run makes the same."""

    size: tuple[int, int]
    limit: float
    shortest: int
    longest: int
    latents: str


@dataclass(frozen=True)
class Prepared:
    """What came of it.

    Attributes:
        folder: where shards and manifest are.
        shots, frames: how many are ready to train on.
        skipped: (name, reason) of every video that could not be read.
    """

    folder: Path
    shots: int
    frames: int
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Film:
    """A video that can be read."""

    path: Path
    id: str
    frames: int
    rate: float | None


def silent(event: Event, /) -> None:
    """A progress function that does nothing."""


def prepare(
    videos: Sequence[Path],
    out: Path,
    *,
    size: tuple[int, int] = (320, 576),
    limit: float = 30.0,
    shortest: int = 15,
    longest: int = 200,
    latents: Path | None = None,
    device: str = "cpu",
    processes: int | None = None,
    progress: Progress = silent,
) -> Prepared:
    """Make training clips of films. Run again with the same settings, it goes on where it was stopped, and takes in
    videos that are new.

    Args:
        videos: files, or folders of numbered pictures.
        out: the folder to write.
        size: (height, width) frames are scaled to, multiples of 16; the aspect ratio is not kept, as in LVCD.
        limit: the histogram difference above which is a cut (:func:`celpaint.frames.shots.find_cuts`).
        shortest, longest: frames a shot.
        latents: folder of an autoencoder whose latents of every frame are stored too.
        device: where it runs.
        processes: side by side; None = one a core.
        progress: told of stretches looked through (``read``) and shards written (``write``).

    Raises:
        InputError: none of the videos can be read.
        OptionError: ``out`` was made with other settings, or one of them can't be.
        OutputError, DiskFull: the result can't be written.
    """
    if any(s < 16 or s % 16 for s in size):
        raise OptionError(f"--size is {size[1]}x{size[0]}", wanted="multiples of 16")
    if not 1 <= shortest <= longest:
        raise OptionError(f"shots of {shortest} to {longest} frames", wanted="1 or more, in order")
    settings = Settings(size, limit, shortest, longest, "" if latents is None else _fingerprint(latents))
    with disk_errors(out):
        (out / "shards").mkdir(parents=True, exist_ok=True)
        (out / "cuts").mkdir(exist_ok=True)
        _agree(out, settings)
    films, skipped = _open(videos)

    stretches = [(film, start) for film in films for start in range(0, film.frames, _STRETCH)]
    jobs = [_Cuts(film, start, limit, out / "cuts" / f"{film.id}-{start:08d}.json") for film, start in stretches]
    shots: dict[_Film, list[range]] = {}
    with _workers(processes) as pool:
        for job, error in _run(pool, jobs, FrameRead, progress):
            if error is not None and job.film in films:
                films.remove(job.film)
                skipped.append((job.film.path.name, error))
        for film in films:
            cuts = [
                cut for job in jobs if job.film == film for cut in json.loads(job.record.read_text(encoding="utf-8"))
            ]
            shots[film] = split_shots(cuts, film.frames, shortest, longest)
        packs = [
            _Shard(film, number, tuple(pack), settings, out / "shards", latents, device)
            for film in films
            for number, pack in enumerate(_pack(shots[film]))
        ]
        for shard, error in _run(pool, packs, FrameWritten, progress):
            if error is not None:
                skipped.append((shard.film.path.name, error))
    done = [shard for shard in packs if shard.record.is_file()]
    clips = [clip for shard in done for clip in json.loads(shard.record.read_text(encoding="utf-8"))]
    if not clips:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped[:5])
        raise InputError(
            f"no shot of {shortest} to {longest} frames was found in {len(videos)} videos. {reasons}",
            wanted="films with longer shots",
            todo="Lower --shortest, or raise --limit if one shot is split into several.",
        )
    manifest = {
        "version": 1,
        **asdict(settings),
        "latents": settings.latents,
        "shards": sorted({clip["shard"] for clip in clips}),
        "skipped": [{"name": name, "reason": reason} for name, reason in skipped],
        "clips": clips,
    }
    with disk_errors(out):
        write_file(out / "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode())
    return Prepared(out, len(clips), sum(clip["frames"] for clip in clips), tuple(skipped))


# -------------------------------------------------------------------------------------------------- what is to be done


def _open(videos: Sequence[Path]) -> tuple[list[_Film], list[tuple[str, str]]]:
    films: list[_Film] = []
    skipped: list[tuple[str, str]] = []
    for path in videos:
        try:
            clip = open_clip(path)
        except CelpaintError as error:
            skipped.append((path.name, str(error)))
            continue
        film = _Film(path, _name(path), len(clip), None if clip.rate is None else float(clip.rate))
        if film.id not in {f.id for f in films}:
            films.append(film)
    if not films:
        told = "; ".join(reason for _, reason in skipped[:3])
        raise InputError(f"none of {len(videos)} videos can be read: {told}", wanted="at least one")
    return films, skipped


def _name(path: Path) -> str:
    """A name for a film that is the same wherever it lies, and fit for file names."""
    digest = hashlib.sha256(path.name.encode())
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    for file in files:
        digest.update(f"{file.name}:{file.stat().st_size};".encode())
    with files[0].open("rb") as start:
        digest.update(start.read(1 << 16))
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', path.stem)[:40].strip('-')}-{digest.hexdigest()[:8]}"


def _pack(shots: Sequence[range]) -> Iterator[list[range]]:
    """Neighboring shots, at least one and otherwise at most :data:`_SHARD` frames together."""
    pack: list[range] = []
    for shot in shots:
        if pack and sum(map(len, pack)) + len(shot) > _SHARD:
            yield pack
            pack = []
        pack.append(shot)
    if pack:
        yield pack


def _agree(out: Path, settings: Settings) -> None:
    path = out / "settings.json"
    mine = json.loads(json.dumps(asdict(settings)))
    if not path.is_file():
        write_file(path, (json.dumps(mine, indent=2) + "\n").encode())
        return
    theirs = json.loads(path.read_text(encoding="utf-8"))
    if theirs != mine:
        other = ", ".join(f"{key} {theirs.get(key)}" for key in mine if theirs.get(key) != mine[key])
        raise OptionError(f"'{out}' was prepared with {other}", todo="Use the same settings, or another --out.")


def _fingerprint(folder: Path) -> str:
    """The autoencoder's name and the start of its weights' hash."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(file.read_bytes())
    return f"{folder.name}-{digest.hexdigest()[:12]}"


# ------------------------------------------------------------------------------------------------------------ doing it


@dataclass(frozen=True)
class _Cuts:
    """Look for cuts in a stretch of a film."""

    film: _Film
    start: int
    limit: float
    record: Path

    def __call__(self) -> None:
        clip = _clip(self.film.path)
        # the frame before comes along, to see a cut at the stretch's own first frame
        first = max(0, self.start - 1)
        stop = min(self.start + _STRETCH, self.film.frames)
        cuts = find_cuts((clip[i].rgb for i in range(first, stop)), self.limit)
        write_file(self.record, json.dumps([first + cut for cut in cuts]).encode())


@dataclass(frozen=True)
class _Shard:
    """Write some shots of a film as a shard."""

    film: _Film
    number: int
    shots: tuple[range, ...]
    settings: Settings
    folder: Path
    latents: Path | None
    device: str

    @property
    def name(self) -> str:
        return f"{self.film.id}-{self.number:05d}.tar"

    @property
    def record(self) -> Path:
        return self.folder / f"{self.name}.json"

    def __call__(self) -> None:
        path = self.folder / self.name
        clips = []
        with disk_errors(path), tarfile.open(aside(path), "w", format=tarfile.USTAR_FORMAT) as tar:
            for shot in self.shots:
                key = f"{self.film.id}-{shot.start:07d}"
                about = {
                    "key": key,
                    "shard": self.name,
                    "frames": len(shot),
                    "rate": self.film.rate,
                    "film": self.film.path.name,
                    "start": shot.start,
                }
                for name, data in self.files(shot):
                    _add(tar, f"{key}.{name}", data)
                _add(tar, f"{key}.json", json.dumps(about).encode())
                clips.append(about)
        with disk_errors(path):
            rename(aside(path), path)
            write_file(self.record, json.dumps(clips).encode())

    def files(self, shot: range) -> Iterator[tuple[str, bytes]]:
        """Name and content of every file of a shot's sample, the frames in order."""
        clip, height, width = _clip(self.film.path), *self.settings.size
        encode = None if self.latents is None else _encoder(self.latents, self.device)
        moments: dict[str, list[Any]] = {"mean": [], "logvar": []}
        for number, index in enumerate(shot):
            rgb = clip[index].rgb
            line = working_lines(extract_lines(rgb), (height, width))
            small = resize(rgb, (height, width))
            yield f"{number:04d}.rgb.png", _png(small[..., ::-1])
            yield f"{number:04d}.line.png", _png(line)
            if encode is not None:
                mean, logvar = _encode(encode, small, self.device)
                moments["mean"].append(mean)
                moments["logvar"].append(logvar)
        if encode is not None:
            from safetensors.numpy import save

            yield (
                "latents.safetensors",
                save({name: np.ascontiguousarray(np.stack(values)) for name, values in moments.items()}),
            )


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _png(picture: Array) -> bytes:
    _, data = cv2.imencode(".png", np.rint(255 * picture).astype(np.uint8))
    return bytes(data)


def _encode(encode: Callable[[Tensor], Latents], rgb: Array, device: str) -> tuple[np.ndarray, np.ndarray]:
    import torch

    with torch.no_grad():
        found = encode(torch.from_numpy(2 * rgb.transpose(2, 0, 1)[None] - 1).to(device))
    return found.mean[0].cpu().numpy().astype(np.float16), found.logvar[0].cpu().numpy().astype(np.float16)


@cache
def _clip(path: Path) -> Clip:
    """The film, opened once a process."""
    return open_clip(path)


@cache
def _encoder(folder: Path, device: str) -> Callable[[Tensor], Latents]:
    import torch

    from celpaint.data.latents import load_encoder

    return load_encoder(folder, torch.device(device))


# -------------------------------------------------------------------------------------------------------- side by side

Job = TypeVar("Job", _Cuts, _Shard)


def _workers(processes: int | None) -> Any:
    """Processes to work in; for one, this one."""
    count = processes or available_cores()
    if count == 1:
        return nullcontext()
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_alone)


def _alone() -> None:
    """One thread a process: there are as many processes as cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    use_threads(1)


def _run(
    pool: ProcessPoolExecutor | None, jobs: Sequence[Job], event: type[Event], progress: Progress
) -> Iterator[tuple[Job, str | None]]:
    """Do what has no record yet; yield every job with what went wrong, in the order they end."""
    waiting = [job for job in jobs if not job.record.is_file()]
    done = len(jobs) - len(waiting)
    for job in jobs:
        if job not in waiting:
            yield job, None
    for job, attempt in _attempts(pool, waiting):
        done += 1
        try:
            attempt()
        except InputError as error:
            yield job, str(error)
        else:
            yield job, None
        progress(event(done, len(jobs)))


def _attempts(pool: ProcessPoolExecutor | None, jobs: Sequence[Job]) -> Iterator[tuple[Job, Callable[[], None]]]:
    if pool is None:
        yield from ((job, job) for job in jobs)
        return
    futures = {pool.submit(job): job for job in jobs}
    while futures:
        ended, _ = wait(futures, return_when=FIRST_COMPLETED)
        for future in ended:
            yield futures.pop(future), future.result
