"""Prepared films: WebDataset shards on disk, read by clip number, so that a stopped training goes on exactly.

    FOLDER/manifest.json        what is there: shards, clips, how they were made
    FOLDER/shards/*.tar         a sample a clip: KEY.0000.rgb.png, KEY.0000.line.png, ..., KEY.json
                                and, where latents were cached, KEY.latents.safetensors

Any WebDataset reader can read the shards in order; :class:`PreparedClips` reads any clip at once.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from celpaint.data.clips import ClipBatch
from celpaint.errors import InputError
from celpaint.frames.resize import resize

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LatentClipBatch", "PreparedClips"]

_HELD = 50
"""One shot in so many is held out for validation."""


@dataclass(frozen=True)
class LatentClipBatch(ClipBatch):
    """Clips whose latents were computed when they were prepared.

    Attributes:
        mean, logvar: ``B T C h w`` float32, the autoencoder's distribution of every frame.
    """

    mean: Tensor | None = None
    logvar: Tensor | None = None


class _Shard:
    """Where every file of a tar begins and how long it is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _where(self) -> dict[str, tuple[int, int]]:
        try:
            with tarfile.open(self.path, "r:") as tar:
                return {member.name: (member.offset_data, member.size) for member in tar}
        except (OSError, tarfile.TarError) as error:
            raise InputError(
                f"the shard '{self.path}' can't be read ({error})", todo="Run celpaint data prepare again."
            ) from None

    def read(self, name: str) -> bytes:
        """One file's bytes."""
        try:
            offset, size = self._where[name]
        except KeyError:
            raise InputError(
                f"'{self.path}' has no '{name}'",
                wanted="the shards the manifest names",
                todo="Prepare the films again.",
            ) from None
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


class PreparedClips:
    """Clips of prepared films, by seed.

    Args:
        folder: made by ``celpaint data prepare``.
        frames: a clip, the reference included; frame 0 is the reference, the others follow one another.
        size: (height, width) of the frames given; None = as stored.
        distance: frames from the reference to frame 1, least and most, every octave as likely; None = as LVCD was
            trained: the start of the frames is uniform, the reference uniform over the first quarter before it.
        validation: the shots held out, one in fifty, instead of the others.

    Raises:
        InputError: no prepared films there, or none of their shots is long enough.
    """

    def __init__(
        self,
        folder: Path,
        *,
        frames: int,
        size: tuple[int, int] | None = None,
        distance: tuple[int, int] | None = None,
        validation: bool = False,
    ) -> None:
        self.folder, self.frames, self.size, self.distance = Path(folder), frames, size, distance
        self.manifest = _manifest(self.folder)
        fitting = [clip for clip in self.manifest["clips"] if clip["frames"] >= frames]
        if not fitting:
            raise InputError(
                f"no shot in '{folder}' has {frames} frames", wanted="longer shots", todo="Lower data.frames."
            )
        held = [clip for clip in fitting if _held(clip["key"])] or fitting[:1]
        rest = [clip for clip in fitting if clip not in held] or fitting
        self.clips: Sequence[dict[str, Any]] = held if validation else rest
        starts = np.array([clip["frames"] - frames + 1 for clip in self.clips], float)
        self._share = starts / starts.sum()
        self._shards = {clip["shard"]: _Shard(self.folder / "shards" / clip["shard"]) for clip in self.clips}
        self._pool = ThreadPoolExecutor(4)

    def __len__(self) -> int:
        """How many shots there are."""
        return len(self.clips)

    def batch(self, seed: int, clips: int) -> ClipBatch:
        """``clips`` clips, the same for the same seed."""
        rng = np.random.default_rng(seed)
        items = []
        for _ in range(clips):
            clip = self.clips[int(rng.choice(len(self.clips), p=self._share))]
            items.append(self._clip(clip, self._choose(clip["frames"], rng)))
        stacked = {name: torch.stack([item[name] for item in items]) for name in items[0]}
        return LatentClipBatch(**stacked) if "mean" in stacked else ClipBatch(**stacked)

    def _choose(self, length: int, rng: np.random.Generator) -> list[int]:
        """Frame numbers: the reference, then the others."""
        others = self.frames - 1
        if others == 0:
            return [int(rng.integers(length))]
        if self.distance is None:
            first = int(rng.integers(1, length - others + 1))
            reference = int(rng.integers(max(1, first // 4)))
        else:
            low, high = (min(d, length - others) for d in self.distance)
            apart = int(np.floor(np.exp(rng.uniform(np.log(low), np.log(high + 1))))) if high > low else low
            reference = int(rng.integers(length - others - apart + 1))
            first = reference + apart
        return [reference, *range(first, first + others)]

    def _clip(self, clip: dict[str, Any], numbers: list[int]) -> dict[str, Tensor]:
        shard, key = self._shards[clip["shard"]], clip["key"]
        names = [f"{key}.{n:04d}.{kind}.png" for kind in ("rgb", "line") for n in numbers]
        pictures = list(self._pool.map(lambda name: self._picture(shard, name), names))
        count = len(numbers)
        color = np.stack([picture[..., ::-1] for picture in pictures[:count]]).transpose(0, 3, 1, 2)
        lines = np.stack(pictures[count:])[:, None]
        rate = clip.get("rate") or 24.0
        times = torch.tensor([(n - numbers[0]) * 24.0 / rate for n in numbers])
        found = {
            "color": torch.from_numpy(color.astype(np.float32) / 255),
            "lines": torch.from_numpy(lines.astype(np.float32) / 255),
            "times": times,
        }
        if self.manifest.get("latents") and self.size in (None, tuple(self.manifest["size"])):
            from safetensors.torch import load

            latents = load(shard.read(f"{key}.latents.safetensors"))
            found |= {name: latents[name][numbers].float() for name in ("mean", "logvar")}
        return found

    def _picture(self, shard: _Shard, name: str) -> npt.NDArray[np.uint8]:
        picture = cv2.imdecode(np.frombuffer(shard.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None:
            raise InputError(f"'{name}' in '{shard.path}' is damaged", todo="Prepare the films again.")
        if self.size is not None and picture.shape[:2] != self.size:
            picture = resize(picture, self.size)
        return np.asarray(picture, np.uint8)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not manifest["clips"]:
            raise InputError(f"'{folder}' contains no shots", todo="Prepare longer films.")
        return dict(manifest)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"no prepared films in '{folder}' ({type(error).__name__})",
            wanted="a folder with manifest.json and shards",
            todo=f"Make it with: celpaint data prepare VIDEO... --out {folder}",
        ) from None


def _held(key: str) -> bool:
    """Whether a shot is for validation: by its name alone, so that more films move none."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % _HELD == 0
