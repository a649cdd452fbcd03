"""Previews of the synthesizer: a contact sheet of clips, and a short film."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from celpaint.atomic_write import replacing
from celpaint.data.synthetic import HANDS, Art, ClipSpec, Synthesizer
from celpaint.errors import OutputError
from celpaint.frames.contact_sheet import SheetRow, contact_sheet

if TYPE_CHECKING:
    from numpy import uint8

    from celpaint.data.clips import ClipBatch

__all__ = ["clip_sheet", "write_preview"]

_SHOWN = 5


def write_preview(
    art_path: Path | Art,
    out_dir: Path,
    seed: int = 0,
    *,
    clips: int = 9,
    height: int = 192,
    width: int = 320,
    seconds: float = 2.0,
) -> tuple[Path, Path]:
    """Write ``sheet.png``, clips over time, and ``film.mp4``, one of them running, each with its line art.

    Every clip is drawn in another hand.

    Args:
        art_path: the file of drawings that ``celpaint data art`` made, or drawings already read.
        out_dir: the folder to write to; made if need be.
        seed: other seeds give other clips.
        clips: on the sheet, and in the film.
        height: of a frame in the film, an even number of pixels; the sheet shows it in half.
        width: of a frame.
        seconds: how long each clip runs in the film.

    Returns:
        The two files.

    Raises:
        InputError: no drawings there.
        OutputError: the folder can't be written.
    """
    art = art_path if isinstance(art_path, Art) else Art.load(art_path)
    frames = max(2, round(24 * seconds))
    made: list[ClipBatch] = []
    for number in range(clips):
        spec = ClipSpec(
            height=height,
            width=width,
            frames=frames,
            distance=(1, 1),
            stride=(1, 1),
            backwards=0,
            hands={HANDS[number % len(HANDS)]: 1.0},
        )
        made.append(Synthesizer(art, spec).batch(seed * 1000 + number, 1))
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        sheet, film = out_dir / "sheet.png", out_dir / "film.mp4"
        _write_png(clip_sheet(made), sheet)
        _write_film(made, film)
    except OSError as error:
        raise OutputError(
            f"'{out_dir}' can't be written ({error.strerror or error})", todo="Choose a folder that can be written to."
        ) from None
    return sheet, film


def clip_sheet(clips: list[ClipBatch]) -> npt.NDArray[uint8]:
    """One row a clip, all of one length: frames from first to last, then line art of the first and the middle one.

    Returns:
        ``H W 3``, pictures at half size under headings.
    """
    shown = [int(frame) for frame in np.linspace(0, clips[0].color.shape[1] - 1, _SHOWN).round()]
    middle = _SHOWN // 2
    rows = []
    for clip in clips:
        frames = [_pixels(clip, frame) for frame in shown]
        rows.append(SheetRow([*(color for color, _ in frames), frames[0][1], frames[middle][1]]))
    heads = [*(f"frame {frame + 1}" for frame in shown), *(f"lines of {shown[i] + 1}" for i in (0, middle))]
    return contact_sheet(rows, heads, width=clips[0].color.shape[-1] // 2)


def _pixels(clip: ClipBatch, frame: int) -> tuple[npt.NDArray[uint8], npt.NDArray[uint8]]:
    """A frame and its line art, black on white, ``H W 3`` each."""
    color = clip.color[0, frame].permute(1, 2, 0).cpu().numpy()
    lines = 1 - clip.lines[0, frame].permute(1, 2, 0).cpu().numpy().repeat(3, 2)
    return (color * 255).round().astype(np.uint8), (lines * 255).round().astype(np.uint8)


def _write_png(image: npt.NDArray[uint8], path: Path) -> None:
    from PIL import Image

    with replacing(path) as part:
        Image.fromarray(image).save(part, format="PNG")


def _write_film(clips: list[ClipBatch], path: Path) -> None:
    import av

    with replacing(path) as part, av.open(str(part), "w", format="mp4") as container:
        height, width = clips[0].color.shape[-2:]
        stream = container.add_stream("h264", rate=Fraction(24))
        stream.width, stream.height, stream.pix_fmt = 2 * width, height, "yuv420p"
        for clip in clips:
            for frame in range(clip.color.shape[1]):
                picture = np.concatenate(_pixels(clip, frame), 1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
