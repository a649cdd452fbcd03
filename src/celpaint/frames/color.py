"""The only place where the range or the color space of pixels changes.

Everything on the path is sRGB-coded RGB in [0, 1], float32, alpha beside it and never multiplied in. Pixels of 8 and
16 bits go to floats and back without loss. Video keeps its code values: BT.709 and sRGB share their primaries, and
players show both alike, so no transfer curve is applied in between.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from celpaint.types import Array, Frame

if TYPE_CHECKING:
    import av

__all__ = ["Pixels", "from_cmyk", "from_video", "over_paper", "quantize", "to_float", "to_srgb", "to_video"]

Pixels = npt.NDArray[np.unsignedinteger[Any]]
"""Pixels as stored: uint8 or uint16, full range."""

_SRGB_TOLERANCE = 1.5 / 255
_HD_WIDTH, _HD_HEIGHT = 1280, 577


def to_float(pixels: Pixels) -> Array:
    """uint8 or uint16 in full range -> float32 in [0, 1]."""
    return np.divide(pixels, np.float32(np.iinfo(pixels.dtype).max), dtype=np.float32)


def quantize(values: Array, bits: Literal[8, 16]) -> Pixels:
    """float32 in [0, 1] -> uint8 or uint16, rounded to the nearest; values outside are clipped, NaN becomes 0.

    ``quantize(to_float(x), bits)`` gives x back for every integer x of that many bits.
    """
    top = 2**bits - 1
    scaled = np.rint(np.clip(values, 0.0, 1.0) * np.float32(top))
    pixels: Pixels = np.nan_to_num(scaled, copy=False).astype(np.uint8 if bits == 8 else np.uint16)
    return pixels


def over_paper(frame: Frame, paper: float = 1.0) -> Frame:
    """The frame laid over paper of one gray, for formats that hold no alpha; opaque frames come back unchanged.

    Blended on the coded values, as painting programs do.
    """
    if frame.alpha is None:
        return frame
    alpha = frame.alpha[..., None]
    return Frame(frame.rgb * alpha + np.float32(paper) * (1 - alpha))


def to_srgb(pixels: Pixels, profile: bytes) -> Pixels:
    """Pixels of an embedded ICC profile -> sRGB.

    A profile that differs from sRGB by no more than a rounding step is taken for sRGB, so that the values come through
    unchanged. Relative colorimetric with black point compensation, which keeps paper white and ink black.

    Args:
        pixels: ``H W C``, uint8 or uint16: gray (1), RGB (3) or CMYK (4, 0 = no ink).
        profile: the ICC profile as embedded.

    Returns:
        ``H W 3`` of the same type; gray and RGB pixels come back unchanged (``H W C``) where the profile is sRGB's own
        or is of another kind of pixels than these.
    """
    kind = _KINDS.get(bytes(profile[16:20]))
    if kind is None or kind[1] != pixels.shape[-1] or _is_srgb(profile):
        return pixels
    return _transform(pixels, profile, kind[0])


def from_cmyk(ink: Pixels) -> Pixels:
    """Amounts of cyan, magenta, yellow and black, 0 = none, without a profile -> RGB: each ink takes its share."""
    top = np.iinfo(ink.dtype).max
    left = 1 - to_float(ink)
    rgb: Pixels = np.rint(left[..., :3] * left[..., 3:] * np.float32(top)).astype(ink.dtype)
    return rgb


_KINDS = {b"GRAY": ("gray", 1), b"RGB ": ("rgb", 3), b"CMYK": ("cmyk", 4)}
_INTENT_RELATIVE, _BLACK_POINT_COMPENSATION = 1, 0x2000
_EXACT = 0x0100  # 16-bit pixels otherwise go through a coarse table, up to 6/255 off in the darks


def _transform(pixels: Pixels, profile: bytes, kind: str) -> Pixels:
    import imagecodecs

    data = np.ascontiguousarray(pixels[..., 0] if kind == "gray" else pixels)
    converted: Pixels = imagecodecs.cms_transform(
        data,
        profile,
        _srgb_profile(),
        colorspace=kind,
        outcolorspace="rgb",
        outdtype=data.dtype,
        intent=_INTENT_RELATIVE,
        flags=_BLACK_POINT_COMPENSATION | (_EXACT if data.itemsize == 2 else 0),
    )
    return converted


@lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    import imagecodecs

    return bytes(imagecodecs.cms_profile("srgb"))


@lru_cache(maxsize=64)
def _is_srgb(profile: bytes) -> bool:
    """Whether a profile changes nothing: it is sRGB's own, or cannot be read."""
    kind, channels = _KINDS[bytes(profile[16:20])]
    steps = np.linspace(0, 65535, 5 if kind == "cmyk" else 9).astype(np.uint16)
    probe = np.stack(np.meshgrid(*[steps] * channels, indexing="ij"), axis=-1).reshape(1, -1, channels)
    try:
        seen = _transform(probe, profile, kind)
    except Exception as error:  # a foreign library reading a foreign file
        logging.getLogger("celpaint").warning("an embedded color profile can't be read and is ignored: %s", error)
        return True
    return kind != "cmyk" and bool(np.abs(to_float(seen) - to_float(probe)).max() <= _SRGB_TOLERANCE)


# --------------------------------------------------------------------------------------------------------------- video


def _scaler() -> Any:
    """Flags without which swscale halves chroma by dropping samples and rounds to even."""
    from av.video.reformatter import Interpolation

    exact = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
    return Interpolation.BICUBIC | exact


def to_video(frame: Frame, pixel_format: str, bits: Literal[8, 16]) -> av.VideoFrame:
    """A frame -> a video frame of that pixel format; YUV is BT.709, limited range, and tagged so.

    Args:
        bits: the precision handed to the conversion; 16 for pixel formats of more than 8 bits.
    """
    import av
    from av.video.reformatter import ColorRange, Colorspace

    target = av.VideoFormat(pixel_format)
    has_alpha = any(c.is_alpha for c in target.components)
    if has_alpha:
        alpha = np.ones(frame.size, np.float32) if frame.alpha is None else frame.alpha
        pixels = quantize(np.dstack([frame.rgb, alpha]), bits)
        source = av.VideoFrame.from_ndarray(pixels, format="rgba" if bits == 8 else "rgba64le")
    else:
        pixels = quantize(over_paper(frame).rgb, bits)
        source = av.VideoFrame.from_ndarray(pixels, format="rgb24" if bits == 8 else "rgb48le")
    if target.is_rgb:
        return source.reformat(format=pixel_format)
    result = source.reformat(
        format=pixel_format,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=_scaler(),
    )
    result.colorspace, result.color_range = 1, ColorRange.MPEG
    result.color_primaries, result.color_trc = 1, 1
    return result


def from_video(frame: av.VideoFrame, *, bits: Literal[8, 16], alpha: bool) -> Frame:
    """A decoded video frame -> sRGB-coded floats, by the matrix and range it is tagged with.

    Untagged YUV is read as players do: BT.709 from 1280 pixels of width or 577 of height on, BT.601 below; limited
    range, but full range for gray.
    """
    from av.video.reformatter import ColorRange, Colorspace

    form = frame.format
    target = {(8, False): "rgb24", (8, True): "rgba", (16, False): "rgb48le", (16, True): "rgba64le"}[bits, alpha]
    if form.is_rgb or form.has_palette:
        pixels = frame.reformat(format=target).to_ndarray()
    else:
        spaces = {1: Colorspace.ITU709, 4: Colorspace.FCC, 7: Colorspace.SMPTE240M, 9: Colorspace.BT2020}
        hd = frame.width >= _HD_WIDTH or frame.height >= _HD_HEIGHT
        default = Colorspace.ITU709 if hd and frame.colorspace == 2 else Colorspace.ITU601
        full = form.name.startswith(("yuvj", "gray", "ya")) and frame.color_range != ColorRange.MPEG
        pixels = frame.reformat(
            format=target,
            src_colorspace=spaces.get(frame.colorspace, default),
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG if full or frame.color_range == ColorRange.JPEG else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=_scaler(),
        ).to_ndarray()
    floats = to_float(pixels.astype(np.uint8 if bits == 8 else np.uint16, copy=False))
    return Frame(np.ascontiguousarray(floats[..., :3]), np.ascontiguousarray(floats[..., 3]) if alpha else None)
