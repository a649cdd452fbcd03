"""Pictures in memory -> clips and frames: NumPy arrays, torch tensors, PIL pictures.

Integers are 8- or 16-bit sRGB; floating-point numbers are sRGB in [0, 1]. One channel is gray, three are RGB, four are
RGB with alpha that is not premultiplied.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from celpaint.errors import InputError
from celpaint.frames.color import to_float
from celpaint.frames.read import open_clip, read_picture
from celpaint.types import Array, Clip, Frame, PixelFormat

if TYPE_CHECKING:
    import torch
    from PIL import Image

__all__ = ["ArrayClip", "as_clip", "as_frame"]


_CHANNELS = (1, 3, 4)
_WANTED = "NumPy T H W C, torch B H W C or B C H W, PIL pictures, or a path"


class ArrayClip(Clip):
    """Pictures in memory, converted one by one as they are asked for.

    Args:
        pictures: ``H W`` or ``H W C`` each, of one size; uint8, uint16 or floating point.
        rate: frames per second, None where nobody says.

    Raises:
        InputError: no pictures, several sizes, or an array that is no picture.
    """

    def __init__(self, pictures: Sequence[np.ndarray], rate: Fraction | None = None) -> None:
        if not len(pictures):
            raise InputError("there are no frames in this sequence", wanted="at least one")
        for index, picture in enumerate(pictures):
            _check(picture, f"frame {index + 1}")
        sizes = {picture.shape[:2] for picture in pictures}
        if len(sizes) > 1:
            seen = " and ".join(f"{w}x{h}" for h, w in sorted(sizes)[:2])
            raise InputError(f"the frames have different sizes: {seen}", wanted="one size")
        self._pictures = pictures
        first = pictures[0]
        self.names = None
        self.size = (int(first.shape[0]), int(first.shape[1]))
        self.rate = rate
        self.format = PixelFormat(8 if first.dtype == np.uint8 else 16, first.ndim == 3 and first.shape[2] == 4)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Frame:
        return _frame(self._pictures[index], f"frame {index + 1}")


def as_clip(source: Any) -> Clip:
    """A clip of what a user gives as frames.

    Args:
        source: what :func:`~celpaint.frames.read.open_clip` opens; a :class:`~celpaint.types.Clip`; NumPy ``T H W C``,
            ``T H W`` or one picture ``H W C``; torch ``B H W C`` or ``B C H W``; a PIL picture; or a sequence of
            pictures, each a PIL picture, ``H W C`` array or tensor.

    Raises:
        InputError: none of these, or frames that do not fit together.
    """
    if isinstance(source, Clip):
        return source
    if isinstance(source, str | Path):
        return open_clip(source)
    if _is_tensor(source):
        return ArrayClip(list(_batch(source)))
    if isinstance(source, np.ndarray):
        return ArrayClip([source] if source.ndim == 3 and source.shape[2] in _CHANNELS else list(source))
    if _is_pil(source):
        return ArrayClip([_pil(source)])
    if isinstance(source, Sequence):
        return ArrayClip([_array(picture) for picture in source])
    raise InputError(f"frames are given as {type(source).__name__}", wanted=_WANTED)


def as_frame(picture: Any) -> Frame:
    """One picture of what a user gives: a path, a frame, an array ``H W C``, a tensor ``H W C`` or ``C H W`` (both also
    as a batch of one), or a PIL picture.

    Raises:
        InputError: none of these, or more than one picture.
    """
    if isinstance(picture, Frame):
        return picture
    if isinstance(picture, str | Path):
        return read_picture(picture)[0]
    return _frame(_array(picture), "the picture")


def _array(picture: Any) -> np.ndarray:
    """``H W`` or ``H W C``."""
    if _is_pil(picture):
        return _pil(picture)
    if _is_tensor(picture):
        batch = _batch(picture if picture.ndim == 4 else picture[None])
        if len(batch) != 1:
            raise InputError(f"a batch of {len(batch)} pictures is given", wanted="one picture")
        return np.asarray(batch[0])
    if isinstance(picture, np.ndarray):
        return picture[0] if picture.ndim == 4 and len(picture) == 1 else picture
    raise InputError(f"a picture is given as {type(picture).__name__}", wanted=_WANTED)


def _batch(tensor: torch.Tensor) -> np.ndarray:
    """torch ``B H W C`` or ``B C H W`` -> NumPy ``B H W C``.

    Raises:
        InputError: neither has 1, 3 or 4 channels, or both have.
    """
    shape = tuple(tensor.shape)
    last, first = len(shape) == 4 and shape[3] in _CHANNELS, len(shape) == 4 and shape[1] in _CHANNELS
    if last == first:
        why = "which could be either layout" if last else "which has no channels"
        raise InputError(
            f"the tensor has the shape {shape}, {why}", wanted="B H W C or B C H W with 1, 3 or 4 channels"
        )
    plain = tensor.detach().cpu()
    if plain.is_floating_point():
        plain = plain.float()
    return np.asarray((plain if last else plain.permute(0, 2, 3, 1)).numpy())


def _pil(picture: Image.Image) -> np.ndarray:
    if picture.mode in ("I;16", "I;16L", "I;16B"):
        return np.asarray(picture).astype(np.uint16)
    transparent = picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info
    return np.asarray(picture.convert("RGBA" if transparent else "RGB"))


def _check(picture: np.ndarray, what: str) -> None:
    shaped = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] in _CHANNELS)
    if not shaped or 0 in picture.shape:
        raise InputError(f"{what} has the shape {picture.shape}", wanted="H W C with 1, 3 or 4 channels")
    if picture.dtype not in (np.uint8, np.uint16) and not np.issubdtype(picture.dtype, np.floating):
        raise InputError(f"{what} holds {picture.dtype}", wanted="uint8, uint16 or floating-point numbers in [0, 1]")


def _frame(picture: np.ndarray, what: str) -> Frame:
    _check(picture, what)
    values: Array
    if np.issubdtype(picture.dtype, np.floating):
        low, high = float(picture.min()), float(picture.max())
        if not (low >= -1e-3 and high <= 1 + 1e-3):
            raise InputError(f"{what} holds numbers from {low:g} to {high:g}", wanted="[0, 1], or 8-bit integers")
        values = np.clip(picture, 0, 1).astype(np.float32)
    else:
        values = to_float(picture)
    values = values[..., None] if values.ndim == 2 else values
    rgb = np.repeat(values[..., :1], 3, axis=2) if values.shape[2] == 1 else np.ascontiguousarray(values[..., :3])
    return Frame(rgb, np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None)


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _is_pil(value: Any) -> bool:
    image = sys.modules.get("PIL.Image")
    return image is not None and isinstance(value, image.Image)
