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
from PIL import Image

import celpaint
from celpaint.cli.show import report, sentences
from celpaint.frames.contact_sheet import SheetRow, contact_sheet
from celpaint.frames.read import open_clip, read_picture
from celpaint.frames.write import open_sink
from celpaint.metrics.frame import moving_parts, pooled_psnr
from celpaint.types import Array, Clip

RATE = 12
"""Frames a second of the example shot."""

METHODS = ("matcher", "lvcd")


def main(shot: Path, out: Path, methods: Sequence[str] = METHODS) -> None:
    reference = shot / "reference.png"
    lines, original = open_clip(shot / "lines"), open_clip(shot / "original")
    painted = read_picture(reference)[0].rgb
    truth = [frame.rgb for frame in original]
    moving = moving_parts(truth)
    copied = psnr([painted] * len(truth), truth, moving)

    said, results = [], {}
    for method in methods:
        folder, video = out / method, out / f"{shot.name}-{method}.mp4"
        with report(quiet=False, json_lines=False) as told:
            summary = celpaint.render(
                shot / "lines", folder, reference=reference, method=method, overwrite=True, progress=told
            )
        result = results[method] = open_clip(folder)
        write_video(result, video)
        ours = psnr([frame.rgb for frame in result], truth, moving)
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


def psnr(pictures: Sequence[Array], truth: Sequence[Array], where: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over the pixels ``where``, pooled over all frames but the painted first."""
    return pooled_psnr(pictures[1:], truth[1:], where)


def write_video(clip: Clip, path: Path) -> None:
    sink = open_sink(path, size=clip.size, rate=RATE, overwrite=True)
    for index, frame in enumerate(clip):
        sink.write(frame, index)
    sink.commit()


def write_sheet(rows: dict[str, Clip], path: Path, columns: int = 5, width: int = 288) -> None:
    """Frames from first to last side by side, a row a clip."""
    count = len(next(iter(rows.values())))
    chosen = [int(index) for index in np.linspace(0, count - 1, columns).round()]
    sheet = contact_sheet(
        [SheetRow([clip[index].rgb for index in chosen], name) for name, clip in rows.items()],
        [f"frame {index + 1}" for index in chosen],
        width=width,
    )
    Image.fromarray(sheet).save(path)


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
