"""Long videos in overlapping windows that are denoised side by side: progressive overlapped latent fusion.

Every window of a video is denoised by the same network, and frames that several windows share take the weighted mean of
their answers. What a frame is given grows toward the middle of a window, so that neighbors fade into each other.

Source: Wang et al., "Consistent Video Colorization via Palette Guidance", 2025, section III-A, after Zhang et al.,
"MimicMotion", 2024. The text can be read in two ways: answers are averaged at every step (:class:`EveryStep`, as
MimicMotion does), or windows are denoised to the end and only their final latents are averaged
(:class:`FinalLatents`). In both, all windows make a step before any makes the next, so that a run can be resumed after
every step.

The latents of the whole video stay in main memory or in a file (:class:`MemoryStore`, :class:`DiskStore`); on the
device there are never more than those of two windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from celpaint.atomic_write import disk_errors, replacing
from celpaint.sampling.solvers import Denoise, euler
from celpaint.types import Array

__all__ = [
    "READINGS",
    "DiskStore",
    "EveryStep",
    "FinalLatents",
    "Fusion",
    "FusionState",
    "FusionWindow",
    "MemoryStore",
    "Store",
    "frame_noise",
    "fuse",
    "fused",
    "plan_windows",
    "sample_fused",
    "shares",
]

WINDOW, OVERLAP = 16, 6
"""Frames a window, and frames that neighbors share. Neither is in the paper."""

# ---------------------------------------------------------------------------------------------------------------- plan


@dataclass(frozen=True)
class FusionWindow:
    """Frames that are denoised together.

    Attributes:
        frames: in order; where a scene is shorter than a window, its last frame is repeated.
        weights: how much the answer for each of them counts; 0 for repeated ones.
        scene: the number of the scene they are of, from 0.
    """

    frames: tuple[int, ...]
    weights: tuple[int, ...]
    scene: int = 0


def plan_windows(
    length: int, *, window: int = WINDOW, overlap: int = OVERLAP, cuts: Sequence[int] = ()
) -> tuple[FusionWindow, ...]:
    """The windows of a video, in order.

    Neighbors share ``overlap`` frames; the last window of a scene ends with the scene and may share more. Position p of
    a window of T frames weighs min(2p + 1, 2T - 2p - 1), a triangle. Of C frames that two windows share, the later one
    therefore has the share (2p + 1) / 2C, p = 0 ... C - 1.

    Args:
        length: frames of the video, 1 or more.
        window: frames a window.
        overlap: 0 to ``window - 1``.
        cuts: first frames of all scenes but the first, rising: no window goes over a cut.

    Raises:
        ValueError: an argument is out of range.
    """
    if length < 1 or window < 1:
        raise ValueError(f"{length} frames in windows of {window}, wanted 1 or more of each")
    if not 0 <= overlap < window:
        raise ValueError(f"overlap {overlap}, wanted 0 to {window - 1}")
    bounds = [0, *cuts, length]
    if any(first >= end for first, end in pairwise(bounds)):
        raise ValueError(f"cuts {list(cuts)}, wanted rising numbers from 1 to {length - 1}")
    triangle = [min(2 * p + 1, 2 * window - 2 * p - 1) for p in range(window)]
    return tuple(
        FusionWindow(
            tuple(min(first + p, end - 1) for p in range(window)),
            tuple(weight if first + p < end else 0 for p, weight in enumerate(triangle)),
            scene,
        )
        for scene, (begin, end) in enumerate(pairwise(bounds))
        for first in _starts(begin, end, window, window - overlap)
    )


def _starts(begin: int, end: int, window: int, stride: int) -> list[int]:
    last = max(end - window, begin)
    starts = list(range(begin, last + 1, stride))
    return starts if starts[-1] == last else [*starts, last]


def shares(windows: Sequence[FusionWindow]) -> tuple[dict[int, Fraction], ...]:
    """For every window, which share of each of its frames is its answer. The shares of a frame sum to 1."""
    total: dict[int, int] = {}
    for window in windows:
        for frame, weight in zip(window.frames, window.weights, strict=True):
            total[frame] = total.get(frame, 0) + weight
    return tuple(
        {
            frame: Fraction(weight, total[frame])
            for frame, weight in zip(window.frames, window.weights, strict=True)
            if weight
        }
        for window in windows
    )


# -------------------------------------------------------------------------------------------------------------- fusing


def fuse(windows: Sequence[FusionWindow], answers: Iterable[Tensor]) -> Iterator[Tensor]:
    """The weighted mean of what windows say of the frames they share.

    A running mean, ``mean += (answer - mean) * weight / weights so far``: where all windows agree it is their answer,
    and where there is one it is that window's, bit for bit.

    Args:
        windows: the whole plan.
        answers: ``T C h w`` for each of them, in order; asked for one at a time.

    Yields:
        ``F C h w``, the next frames in order, as soon as no later window has them.
    """
    means: dict[int, Tensor] = {}
    total: dict[int, int] = {}
    ends = chain((window.frames[0] for window in windows[1:]), [None])
    for window, answer, end in zip(windows, answers, ends, strict=True):
        for frame, weight, latents in zip(window.frames, window.weights, answer, strict=True):
            if weight:
                total[frame] = total.get(frame, 0) + weight
                mean = means.get(frame, latents)
                means[frame] = latents if mean is latents else torch.lerp(mean, latents, weight / total[frame])
        ready = sorted(frame for frame in means if end is None or frame < end)
        yield torch.stack([means.pop(frame) for frame in ready])


WindowDenoise = Callable[[FusionWindow], Denoise]
"""A window -> the denoiser of its frames, conditions and guidance included."""


def fused(denoise: WindowDenoise, windows: Sequence[FusionWindow]) -> Denoise:
    """A denoiser of the whole video, for any solver: all windows read the same latents, their answers are fused.

    As guidance and the step of a solver are linear in the answers, it makes no difference whether answers, guided
    answers, predicted noise or the latents after the step are averaged.

    Args:
        denoise: of one window.
        windows: the plan of the video.

    Returns:
        A denoiser of ``F C h w``.
    """

    def denoise_all(x: Tensor, sigma: float, /) -> Tensor:
        answers = (denoise(window)(x[list(window.frames)], sigma) for window in windows)
        return torch.cat(list(fuse(windows, answers)))

    return denoise_all


def frame_noise(
    frames: Sequence[int], shape: tuple[int, int, int], *, seed: int = 0, period: int | None = None
) -> Tensor:
    """Unit noise of single frames: it depends on nothing but the frame and the seed, so that it need not be kept.

    Args:
        frames: their numbers in the video.
        shape: ``C h w``.
        seed: 0 or more.
        period: after so many frames the noise repeats, as MimicMotion has it; None: every frame has its own.

    Returns:
        ``F C h w`` float32.
    """
    numbers = [frame if period is None else frame % period for frame in frames]
    rows = [np.random.default_rng((seed, n)).standard_normal(shape, np.float32) for n in numbers]
    return torch.from_numpy(np.stack(rows))


# --------------------------------------------------------------------------------------------------------------- state


@dataclass(frozen=True, eq=False)
class FusionState:
    """All that a run needs to go on after a step.

    Attributes:
        step: steps done.
        latents: ``R C h w`` float32, noisy latents: for :class:`EveryStep` one row a frame, for :class:`FinalLatents`
            one for every frame of every window.
    """

    step: int
    latents: Array

    def arrays(self) -> dict[str, np.ndarray]:
        """As arrays alone, for storage."""
        return {"step": np.array(self.step), "latents": self.latents}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> FusionState:
        """From what :meth:`arrays` gave."""
        return cls(int(arrays["step"]), arrays["latents"])


class Store(Protocol):
    """Keeps the latents of one step."""

    def keep(self, step: int, shape: tuple[int, ...], rows: Iterable[Array]) -> FusionState:
        """Take the rows of a step, in order and some at a time, and forget those of the step before.

        Args:
            step: steps done.
            shape: ``R C h w`` of all rows together.
            rows: ``r C h w`` each. They may be computed from the step before, which stays readable until all are taken.
        """
        ...


class MemoryStore:
    """In main memory."""

    def keep(self, step: int, shape: tuple[int, ...], rows: Iterable[Array]) -> FusionState:
        latents, done = np.empty(shape, np.float32), 0
        for some in rows:
            latents[done : done + len(some)] = some
            done += len(some)
        return FusionState(step, latents)


class DiskStore:
    """In a folder: one ``.npy`` file, which gets its name only when it is whole and on the disk.

    A process that is killed at any moment leaves the last whole step behind; :meth:`last` finds it.

    Args:
        folder: made if missing; nothing else should be in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, step: int, shape: tuple[int, ...], rows: Iterable[Array]) -> FusionState:
        """See :class:`Store`.

        Raises:
            OutputError, DiskFull: the folder can't be written to.
        """
        path = self.folder / f"step_{step:05d}.npy"
        with disk_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part, part.open("wb") as file:
                header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
                for some in rows:
                    file.write(np.ascontiguousarray(some, np.float32).tobytes())
        for old in self.folder.glob("step_*.npy"):
            if old != path:
                with suppress(OSError):  # still open, on some systems: then it goes after the next step
                    old.unlink()
        return FusionState(step, np.load(path, mmap_mode="r"))

    def last(self) -> FusionState | None:
        """The state after the last whole step, read when asked for; None where there is none."""
        paths = sorted(self.folder.glob("step_*.npy"))
        if not paths:
            return None
        return FusionState(int(paths[-1].stem.removeprefix("step_")), np.load(paths[-1], mmap_mode="r"))


# ------------------------------------------------------------------------------------------------------------ sampling


class Fusion(Protocol):
    """When windows are fused.

    Attributes:
        windows: the plan of the video.
        rows: frame of every row of the state's latents.
    """

    windows: tuple[FusionWindow, ...]
    rows: tuple[int, ...]

    def step(self, latents: Array, denoise: WindowDenoise, sigmas: tuple[float, float], device: torch.device) -> Rows:
        """All rows after one Euler step from the first to the second noise level, in order."""
        ...

    def result(self, latents: Array) -> Rows:
        """``F C h w`` latents of the next frames of the video, in order, from those after the last step."""
        ...


Rows = Iterator[Tensor]
"""``r C h w`` each, in order."""


class EveryStep:
    """Windows share one video of latents, and are fused at every step.

    Args:
        windows: the plan of the video.
    """

    def __init__(self, windows: tuple[FusionWindow, ...]) -> None:
        self.windows = windows
        self.rows = tuple(range(windows[-1].frames[-1] + 1))

    def step(self, latents: Array, denoise: WindowDenoise, sigmas: tuple[float, float], device: torch.device) -> Rows:
        """See :class:`Fusion`."""
        answers = (denoise(w)(_read(latents, w.frames, device), sigmas[0]) for w in self.windows)
        done = 0
        for denoised in fuse(self.windows, answers):
            x = _read(latents, range(done, done + len(denoised)), device)
            yield _euler(denoised, x, sigmas)
            done += len(denoised)

    def result(self, latents: Array) -> Rows:
        """See :class:`Fusion`."""
        for window, following in zip(self.windows, (*self.windows[1:], None), strict=True):
            end = following.frames[0] if following else len(self.rows)
            yield _read(latents, range(window.frames[0], end))


class FinalLatents:
    """Every window has latents of its own, and only those after the last step are fused.

    Args:
        windows: the plan of the video.
    """

    def __init__(self, windows: tuple[FusionWindow, ...]) -> None:
        self.windows = windows
        self.rows = tuple(frame for window in windows for frame in window.frames)

    def step(self, latents: Array, denoise: WindowDenoise, sigmas: tuple[float, float], device: torch.device) -> Rows:
        """See :class:`Fusion`."""
        for window, x in zip(self.windows, self._own(latents, device), strict=True):
            yield _euler(denoise(window)(x, sigmas[0]), x, sigmas)

    def result(self, latents: Array) -> Rows:
        """See :class:`Fusion`."""
        return fuse(self.windows, self._own(latents))

    def _own(self, latents: Array, device: torch.device | None = None) -> Rows:
        """The latents of every window."""
        size = len(self.windows[0].frames)
        return (_read(latents, range(i * size, (i + 1) * size), device) for i in range(len(self.windows)))


READINGS: dict[str, Callable[[tuple[FusionWindow, ...]], Fusion]] = {"step": EveryStep, "final": FinalLatents}
"""By name."""


def _read(latents: Array, rows: Sequence[int], device: torch.device | None = None) -> Tensor:
    """Rows of an array, copied."""
    return torch.from_numpy(np.array(latents[list(rows)], np.float32)).to(device)


def _euler(denoised: Tensor, x: Tensor, sigmas: tuple[float, float]) -> Tensor:
    return euler(lambda *_: denoised, x, sigmas)


def _quiet(step: int) -> None:
    """Say nothing."""


def sample_fused(
    fusion: Fusion,
    denoise: WindowDenoise,
    sigmas: Sequence[float],
    start: FusionState | Callable[[Sequence[int]], Tensor],
    *,
    store: Store | None = None,
    device: torch.device | None = None,
    callback: Callable[[int], None] = _quiet,
) -> Iterator[FusionState]:
    """Sample a video by Euler's method, one state a step.

    Args:
        fusion: the plan of the video and when its windows are fused.
        denoise: of one window, on ``device``; called once a window and step.
        sigmas: falling levels, the last 0.
        start: a state of the same plan to go on from; or, at the beginning, the noisy latents ``F C h w`` of frames.
        store: where latents are kept; None: in main memory.
        device: where the networks are; None: the CPU.
        callback: called after every step with the number of steps done.

    Yields:
        The state after every step that is left to make. A store keeps the last one only. What ``fusion.result`` makes
        of the last state are the latents of the video.

    Raises:
        ValueError: the state is one of another plan or of more steps.
    """
    store, device = store or MemoryStore(), device or torch.device("cpu")
    state = start if isinstance(start, FusionState) else _begin(fusion, start, store)
    if len(state.latents) != len(fusion.rows) or not 0 <= state.step < len(sigmas):
        raise ValueError(
            f"a state of {len(state.latents)} rows after {state.step} steps, "
            f"wanted {len(fusion.rows)} rows and at most {len(sigmas) - 1} steps"
        )
    for step in range(state.step, len(sigmas) - 1):
        rows = fusion.step(state.latents, denoise, (sigmas[step], sigmas[step + 1]), device)
        state = store.keep(step + 1, state.latents.shape, (row.float().cpu().numpy() for row in rows))
        callback(step + 1)
        yield state


def _begin(fusion: Fusion, start: Callable[[Sequence[int]], Tensor], store: Store) -> FusionState:
    size = len(fusion.windows[0].frames)
    parts = [fusion.rows[i : i + size] for i in range(0, len(fusion.rows), size)]
    shape = (len(fusion.rows), *start(parts[0][:1]).shape[1:])
    return store.keep(0, shape, (start(part).float().cpu().numpy() for part in parts))
