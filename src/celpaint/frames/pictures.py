"""One picture file: what its header says, its pixels, and pixels to bytes again.

Pillow reads everything of 8 bits; PNG and TIFF of 16 bits go to imagecodecs and tifffile, which Pillow cuts to 8.
"""

from __future__ import annotations

import io
import math
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from celpaint.errors import CelpaintError, InputError
from celpaint.frames import color, png, tga, tiff
from celpaint.frames.color import Pixels
from celpaint.types import Array, Frame, PixelFormat

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MAX_PIXELS", "SUFFIXES", "Header", "check_size", "decode", "encode", "foreign_kind", "header", "reading"]

SUFFIXES = (".png", ".apng", ".tif", ".tiff", ".tga", ".webp", ".jpg", ".jpeg", ".bmp", ".gif")
"""Suffixes of the pictures that can be read."""

MAX_PIXELS = 2**27
"""The largest picture read, 134 million pixels: 16,384 x 8,192. Anything larger is taken for a mistake or an attack."""

_S = TypeVar("_S", bound=np.generic)

_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_ANIMATED = ("GIF", "PNG", "WEBP")
_EXPORT_AGAIN = "Export it again, or take it out"
_INCH = 0.0254
_FINEST = 100_000.0
"""Pixels an inch above which a resolution is taken for nonsense."""


@dataclass(frozen=True)
class Header:
    """What a picture says of itself before its pixels are read.

    Attributes:
        size: (height, width) as shown, that is with its orientation tag applied.
        format: bits a channel, whether it has alpha, and its resolution.
        frames: pictures in the file: more than 1 for an animation.
        reader: which library reads its pixels.
        page: the page of a TIFF that is the picture, None for other files.
        pages: pages of a TIFF that are pictures, previews and masks left out.
    """

    size: tuple[int, int]
    format: PixelFormat
    frames: int
    reader: Literal["pillow", "png", "tiff"]
    page: tiff.Page | None = None
    pages: int = 1


@contextmanager
def reading(path: Path, what: str = "a picture") -> Iterator[None]:
    """Turns whatever a decoder throws at a broken file into one :class:`InputError`."""
    try:
        _check_kind(path, what)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what decoders say of metadata that is of no matter here
            yield
    except CelpaintError:
        raise
    except FileNotFoundError:
        raise _missing(path, what) from None
    except PermissionError:
        raise InputError(
            f"'{path}' can't be read: permission denied", wanted=what, todo="Check the file's permissions."
        ) from None
    except Exception as error:  # decoders of other people's files raise nearly everything
        if isinstance(error, MemoryError) and not hasattr(error, "errno"):  # FFmpeg says so of damaged sizes
            raise
        raise (_foreign(path, what) or _damaged(path, what, error)) from error


def _check_kind(path: Path, what: str) -> None:
    """Refuse what would block or yield nothing when it is opened: pipes, devices, empty files."""
    try:
        status = path.stat()
    except OSError:
        return  # opening it says why
    if stat.S_ISREG(status.st_mode):
        if status.st_size == 0:
            raise InputError(f"'{path}' is empty (0 bytes)", wanted=what, todo=f"{_EXPORT_AGAIN}.")
        return
    for is_kind, kind in _NOT_FILES.items():
        if is_kind(status.st_mode):
            raise InputError(f"'{path}' is {kind}", wanted=f"{what} in a file", todo="Save it as a file first.")


_NOT_FILES: dict[Callable[[int], bool], str] = {
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def _missing(path: Path, what: str) -> InputError:
    if path.is_symlink():
        return InputError(
            f"'{path}' is a link to '{path.readlink()}', which does not exist",
            wanted=what,
            todo="Restore the file, or remove the link.",
        )
    return InputError(f"'{path}' does not exist", wanted=what, todo="Check the path.")


def _foreign(path: Path, what: str) -> InputError | None:
    """A file of a kind that is known by its first bytes and cannot be read, called by its name."""
    kind = foreign_kind(path)
    if kind is None or (kind.endswith("video") and what.endswith("video")):  # then it is broken
        return None
    return InputError(f"'{path}' is {kind}", wanted=what, todo="Export it as PNG or TIFF.")


def foreign_kind(path: Path) -> str | None:
    """What a file is that is none of the pictures read here, such as ``an OpenEXR picture``; None if unknown."""
    try:
        with path.open("rb") as file:
            start = file.read(32)
    except OSError:
        return None
    return next((kind for at, magic, kind in _FOREIGN if start[at : at + len(magic)] == magic), None)


_FOREIGN = (
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"#?R", "a Radiance HDR picture"),
    (0, b"SDPX", "a DPX picture"),
    (0, b"XPDS", "a DPX picture"),
    (0, b"TLV1", "an OpenToonz level (TLV)"),
    (0, b"CSFCHUNK", "a Clip Studio Paint document"),
    (0, b"gimp xcf", "a GIMP document"),
    (0, b"PK\x03\x04", "a zip archive, or a document made like one (Krita, OpenRaster)"),
    (0, b"%PDF", "a PDF document"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an SVG drawing or another XML document"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (4, b"JXL ", "a JPEG XL picture"),
    (4, b"jP  ", "a JPEG 2000 picture"),
    (4, b"ftypheic", "an HEIC picture"),
    (4, b"ftypheix", "an HEIC picture"),
    (4, b"ftypmif1", "an HEIF picture"),
    (4, b"ftypavi", "an AVIF picture"),
    (4, b"ftyp", "an MP4 or QuickTime video"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (8, b"AVI ", "an AVI video"),
)
"""(offset, bytes there, what it is)."""


def _damaged(path: Path, what: str, error: Exception) -> InputError:
    from PIL import UnidentifiedImageError

    text = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    reason = (text[0] if text else type(error).__name__).rstrip(".")[:160]
    if isinstance(error, UnidentifiedImageError):
        reason = "it is of no known kind"
    return InputError(
        f"'{path}' can't be read: it is damaged, cut short or not what its suffix says ({_printable(reason)})",
        wanted=what,
        todo=f"{_EXPORT_AGAIN}.",
    )


def _printable(text: str) -> str:
    """Foreign words in a message, without what a terminal would take for commands."""
    return "".join(c if c.isprintable() else "?" for c in text)


def check_size(path: Path, height: int, width: int) -> None:
    """Raise :class:`InputError` if a picture is too large to be meant."""
    if height * width > MAX_PIXELS:
        raise InputError(
            f"'{path}' is {width} x {height} pixels",
            wanted=f"at most {MAX_PIXELS // 10**6} million pixels",
            todo="Scale it down, or cut it into parts.",
        )


def header(path: Path, page: int = 0) -> Header:
    """Read a picture's header, without its pixels.

    Args:
        page: which of a TIFF's pages, previews and masks not counted.

    Raises:
        InputError: no such file, empty, damaged, too large, or pixels of a kind that can't be read.
    """
    with reading(path):
        return _tiff_header(path, page) if _is_tiff(path) else _pillow_header(path)


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _pillow_header(path: Path) -> Header:
    with _open_pillow(path) as image:
        check_size(path, image.height, image.width)
        deep = image.format == "PNG" and _raw_mode(image).endswith(";16B")
        if image.mode in ("I", "F") or (image.mode.startswith("I;16") and not deep):
            raise _odd_pixels(path, f"pixels of the kind '{image.mode}'")
        turned = _orientation(image) in _SIDEWAYS
        size = (image.width, image.height) if turned else (image.height, image.width)
        frames = int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1
        form = PixelFormat(16 if deep else 8, image.has_transparency_data, _resolution(image, turned))
        return Header(size, form, frames, "png" if deep else "pillow")


def _raw_mode(image: Image.Image) -> str:
    """How Pillow will unpack the pixels: tells 16 bits, which its modes do not."""
    tile = getattr(image, "tile", None)
    arguments = tile[0].args if tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _resolution(image: Image.Image, turned: bool) -> tuple[float, float] | None:
    """Pixels an inch, across and down as shown."""
    stated = image.info.get("dpi")
    return None if stated is None else _plausible((float(stated[0]), float(stated[1])), turned)


def _plausible(resolution: tuple[float, float], turned: bool) -> tuple[float, float] | None:
    """A resolution as it was meant, None for nonsense; exchanged for a picture that is shown sideways."""
    if not all(math.isfinite(value) and 0 < value < _FINEST for value in resolution):
        return None
    across, down = map(_whole, resolution)
    return (down, across) if turned else (across, down)


def _whole(value: float) -> float:
    """The whole number that a PNG rounded to pixels a meter: 143.99 an inch were 144."""
    return float(round(value)) if round(round(value) / _INCH) == round(value / _INCH) else value


def _tiff_header(path: Path, number: int) -> Header:
    found = tiff.pages(path)
    page = found[number]
    check_size(path, *page.size)
    if not page.integer or page.bits not in (1, 2, 4, 8, 16):
        raise _odd_pixels(path, f"{page.bits} bits a channel" + ("" if page.integer else ", not integers"))
    turned = page.orientation in _SIDEWAYS
    size = page.size[::-1] if turned else page.size
    resolution = page.resolution and _plausible(page.resolution, turned)
    if page.colors and (page.bits == 16 or (page.bits == 8 and page.colors == 4)):
        return Header(size, PixelFormat(_depth(page), page.alpha, resolution), 1, "tiff", page, len(found))
    if page.bits == 16:
        raise _odd_pixels(path, "16 bits a channel in a color model that is not gray, RGB or CMYK")
    with _open_pillow(path) as image:
        image.seek(page.index)
        form = PixelFormat(8, image.has_transparency_data, resolution)
    return Header(size, form, 1, "pillow", page, len(found))


def _depth(page: tiff.Page) -> Literal[8, 16]:
    return 16 if page.bits == 16 else 8


def _odd_pixels(path: Path, seen: str) -> InputError:
    return InputError(
        f"'{path}' has {seen}", wanted="integers of 8 or 16 bits per channel", todo="Export it as PNG of 8 or 16 bits."
    )


def decode(path: Path, head: Header | None = None) -> Frame:
    """Read a picture's pixels: sRGB, as shown (orientation applied), the first picture of several.

    Raises:
        InputError: as :func:`header`, and where the pixels are damaged or cut short.
    """
    head = head or header(path)
    with reading(path):
        pixels, alpha = _READERS[head.reader](path, head)
        if pixels.shape[:2] != head.size:
            raise InputError(f"'{path}' changed while it was read", todo="Run again when nothing writes to it.")
        rgb = color.to_float(pixels)
        return Frame(np.repeat(rgb, 3, axis=-1) if rgb.shape[-1] == 1 else rgb, alpha)


def _read_by_pillow(path: Path, head: Header) -> tuple[Pixels, Array | None]:
    with _open_pillow(path) as image:
        if head.page is not None:
            image.seek(head.page.index)
        orientation = _orientation(image)
        try:
            pixels, alpha = from_pillow(image)
        except Exception:
            repaired = _repaired(path)
            if repaired is None:
                raise
            with repaired:
                pixels, alpha = from_pillow(repaired)
    return _turn(pixels, orientation), None if alpha is None else _turn(alpha, orientation)


def _repaired(path: Path) -> Image.Image | None:
    """A good picture that Pillow refuses: PNG with odd data beside it, TGA whose runs cross the ends of rows."""
    from PIL import Image

    data = path.read_bytes()
    if data.startswith(png.SIGNATURE):
        image = Image.open(io.BytesIO(png.essential(data)))
        profile = png.profile(data)
        if profile is not None:
            image.info["icc_profile"] = profile
        return image
    if path.suffix.lower() == ".tga":
        return Image.open(io.BytesIO(tga.unpacked(data)), formats=["TGA"])
    return None


def _read_deep_png(path: Path, head: Header) -> tuple[Pixels, Array | None]:
    import imagecodecs

    with _open_pillow(path) as image:
        profile, orientation = image.info.get("icc_profile"), _orientation(image)
    pixels = np.atleast_3d(imagecodecs.png_decode(png.essential(path.read_bytes())))
    pixels, alpha = _split(_turn(pixels, orientation))
    return _to_srgb(pixels, profile), alpha


def _read_tiff(path: Path, head: Header) -> tuple[Pixels, Array | None]:
    assert head.page is not None
    pixels, alpha, profile = tiff.read_page(path, head.page)
    turn = head.page.orientation
    return _to_srgb(_turn(pixels, turn), profile), None if alpha is None else _turn(alpha, turn)


_READERS = {"pillow": _read_by_pillow, "png": _read_deep_png, "tiff": _read_tiff}


def from_pillow(image: Image.Image) -> tuple[Pixels, Array | None]:
    """An 8-bit Pillow image as stored -> (``H W 1`` or ``H W 3`` uint8 in sRGB, ``H W`` alpha or None)."""
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        return _to_srgb(np.asarray(image), profile), None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode == "LA" else "RGBA")
    else:
        image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    pixels, alpha = _split(np.atleast_3d(np.asarray(image)))
    return _to_srgb(pixels, profile), alpha


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where EXIF is broken; Pillow turns TIFFs by itself."""
    if image.format == "TIFF" or "exif" not in image.info:
        return 1
    try:
        stated = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # as many kinds as there are ways to break it
        return 1
    return stated if stated in range(1, 9) else 1


def _turn(pixels: npt.NDArray[_S], orientation: int) -> npt.NDArray[_S]:
    """Rows and columns as stored -> as shown."""
    if orientation in _SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    vertical, horizontal = _FLIPS.get(orientation, (1, 1))
    return np.ascontiguousarray(pixels[::vertical, ::horizontal])


_FLIPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}


def _to_srgb(pixels: Pixels, profile: bytes | None) -> Pixels:
    """Gray, RGB or CMYK -> sRGB; a gray picture with a profile of RGB is taken for RGB."""
    if profile and pixels.shape[-1] == 1 and profile[16:20] == b"RGB ":
        pixels = np.repeat(pixels, 3, axis=-1)
    pixels = color.to_srgb(pixels, profile) if profile else pixels
    return color.from_cmyk(pixels) if pixels.shape[-1] == 4 else pixels


def _split(pixels: Pixels) -> tuple[Pixels, Array | None]:
    """``H W C`` of 1 to 4 channels -> colors and alpha."""
    if pixels.shape[-1] in (1, 3):
        return pixels, None
    return pixels[..., :-1], color.to_float(pixels[..., -1])


@contextmanager
def _open_pillow(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image: Image.Image = Image.open(path)
        except Image.DecompressionBombError:
            raise InputError(
                f"'{path}' says it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels",
                wanted=f"at most {MAX_PIXELS // 10**6} million pixels",
                todo="Scale it down, or cut it into parts.",
            ) from None
        except (OSError, ValueError, SyntaxError):
            repaired = _repaired(path) if _is_png(path) else None
            if repaired is None:
                raise
            image = repaired
        with image:
            yield image


def _is_png(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(png.SIGNATURE)) == png.SIGNATURE


def encode(frame: Frame, suffix: str, format: PixelFormat, *, fast: bool = False) -> bytes:
    """A frame -> the bytes of a picture file.

    Args:
        suffix: ``.png``, ``.tif``/``.tiff`` (8 or 16 bits) or ``.tga`` (always 8 bits).
        format: bits, alpha and resolution to store (TGA has none); a frame without alpha is stored opaque, and one
            whose alpha is not asked for is laid over white.
        fast: PNG quickly and larger, for files that are read once.
    """
    bits: Literal[8, 16] = 8 if suffix == ".tga" else format.bits
    if format.alpha:
        alpha = np.ones(frame.size, np.float32) if frame.alpha is None else frame.alpha
        pixels = color.quantize(np.dstack([frame.rgb, alpha]), bits)
    else:
        pixels = color.quantize(color.over_paper(frame).rgb, bits)
    return _ENCODERS[suffix](pixels, format.resolution, fast)


def _png(pixels: Pixels, resolution: tuple[float, float] | None, fast: bool) -> bytes:
    import imagecodecs

    how = {"level": 1, "strategy": 3, "filter": 16} if fast else {"level": 6}
    data = bytes(imagecodecs.png_encode(pixels, **how))
    return png.with_resolution(data, resolution) if resolution else data


def _tiff(pixels: Pixels, resolution: tuple[float, float] | None, fast: bool) -> bytes:
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(
        file,
        pixels,
        photometric="rgb",
        extrasamples=["unassalpha"] if pixels.shape[-1] == 4 else [],
        compression="lzw",
        predictor=True,
        metadata=None,
        resolution=resolution,
        resolutionunit="inch" if resolution else None,
    )
    return file.getvalue()


def _tga(pixels: Pixels, resolution: tuple[float, float] | None, fast: bool) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TGA", compression="tga_rle")
    return file.getvalue()


_ENCODERS = {".png": _png, ".tif": _tiff, ".tiff": _tiff, ".tga": _tga}
