"""Color the example shot with the packaged weights and show the results beside the original: ``make demo``.

    python examples/demo.py [SHOT] [OUT] [--method matcher lvcd]

SHOT is a folder with ``lines/``, ``reference.png`` (the first frame, painted) and ``original/`` (all frames, painted).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import celpaint
from celpaint.cli.show import report, sentences
from celpaint.frames.read import open_clip, read_picture
from celpaint.frames.write import open_sink
from celpaint.types import Array, Clip

RATE = 12
"""Frames a second of the example shot."""

MOVES = 8 / 255
"""A pixel belongs to the moving parts if it ever differs by more than this from the first frame, in any channel."""


METHODS = ("matcher", "lvcd")


def main(shot: Path, out: Path, methods: Sequence[str] = METHODS) -> None:
    reference = shot / "reference.png"
    lines, original = open_clip(shot / "lines"), open_clip(shot / "original")
    painted = read_picture(reference)[0].rgb
    moving = np.zeros(original.size, bool)
    for frame in original:
        moving |= np.abs(frame.rgb - original[0].rgb).max(axis=-1) > MOVES
    copied = psnr([painted] * len(original), original, moving)

    said, results = [], {}
    for method in methods:
        folder, video = out / method, out / f"{shot.name}-{method}.mp4"
        with report(quiet=False, json_lines=False) as told:
            summary = celpaint.render(
                shot / "lines", folder, reference=reference, method=method, overwrite=True, progress=told
            )
        result = results[method] = open_clip(folder)
        write_video(result, video)
        ours = psnr([frame.rgb for frame in result], original, moving)
        said += [
            sentences(summary)[0],
            f"  moving parts, {moving.mean():.0%} of the picture: {ours:.2f} dB PSNR; "
            f"copying the reference {copied:.2f} dB",
            f"  frames: {folder}",
            f"  video:  {video}",
        ]
    sheet = out / f"{shot.name}.png"
    write_sheet({"line art": lines, **results, "original": original}, sheet)
    print(*said, f"contact sheet: {sheet}", sep="\n")


def psnr(pictures: list[Array], original: Clip, where: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over the pixels ``where``, pooled over all frames but the painted first."""
    errors = [np.square(a - b.rgb)[where].mean() for a, b in zip(pictures[1:], list(original)[1:], strict=True)]
    return float(-10 * np.log10(np.mean(errors)))


def write_video(clip: Clip, path: Path) -> None:
    sink = open_sink(path, size=clip.size, rate=RATE, overwrite=True)
    for index, frame in enumerate(clip):
        sink.write(frame, index)
    sink.commit()


def write_sheet(rows: dict[str, Clip], path: Path, columns: int = 5, width: int = 288) -> None:
    """Frames from first to last side by side, a row a clip."""
    clips = list(rows.values())
    chosen = np.linspace(0, len(clips[0]) - 1, columns).round().astype(int)
    height, margin, side = round(width * clips[0].size[0] / clips[0].size[1]), 6, 96
    sheet = Image.new("RGB", (side + columns * (width + margin), len(rows) * (height + margin) + 28), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for row, (name, clip) in enumerate(rows.items()):
        top = 28 + row * (height + margin)
        pen.text((8, top + height // 2), name, fill="black", font=font, anchor="lm")
        for column, index in enumerate(chosen):
            left = side + column * (width + margin)
            picture = Image.fromarray((clip[int(index)].rgb * 255).round().astype(np.uint8))
            sheet.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (left, top))
            if row == 0:
                pen.text((left + width // 2, 14), f"frame {index + 1}", fill="black", font=font, anchor="mm")
    sheet.save(path)


if __name__ == "__main__":
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shot", type=Path, nargs="?", default=here / "dancer")
    parser.add_argument("out", type=Path, nargs="?", default=here.parent / "out" / "demo")
    parser.add_argument("--method", nargs="+", default=METHODS, help="as in celpaint colorize; default: %(default)s")
    given = parser.parse_args()
    try:
        main(given.shot, given.out, given.method)
    except (celpaint.CelpaintError, KeyboardInterrupt) as error:
        sys.exit(f"celpaint: {error}")
