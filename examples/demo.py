"""Color the example shot with the packaged weights and show the result beside the original: ``make demo``.

    python examples/demo.py [SHOT] [OUT] [--method matcher] [--method lvcd] [--painted 1] [--painted 16]

SHOT is a folder with ``lines/`` and ``original/`` (all frames, painted). Some frames of ``original/`` are given to
celpaint as painted references; the others only serve to compare.
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
from celpaint.frames.read import open_clip
from celpaint.frames.write import open_sink
from celpaint.metrics.frame import moving_parts, pooled_psnr
from celpaint.types import Array, Clip

RATE = 12
"""Frames a second of the example shot."""

PAINTED = (1, 16)
"""The frames that are given painted, counted from 1: as a shot starts, and with stretched arms."""

SHOWN = (1, 3, 14, 24, 28)
"""The frames of the contact sheet, counted from 1."""


def main(
    shot: Path,
    out: Path,
    methods: Sequence[str] = ("matcher",),
    painted: Sequence[int] = PAINTED,
    shown: Sequence[int] = SHOWN,
) -> None:
    lines, original = open_clip(shot / "lines"), open_clip(shot / "original")
    given = [original.files[frame - 1] for frame in painted]
    truth = [frame.rgb for frame in original]
    moving = moving_parts(truth)
    nearest = [min(painted, key=lambda frame: abs(frame - place)) for place in range(1, len(truth) + 1)]
    others = [index for index in range(len(truth)) if index + 1 not in painted]
    copied = psnr([truth[frame - 1] for frame in nearest], truth, moving, others)

    said, results = [], {}
    for method in methods:
        folder, video = out / method, out / f"{shot.name}-{method}.mp4"
        with report(quiet=False, json_lines=False) as told:
            summary = celpaint.render(
                shot / "lines",
                folder,
                reference=[(file, file.stem) for file in given],
                method=method,
                overwrite=True,
                progress=told,
            )
        result = results[method] = open_clip(folder)
        write_video(result, video)
        ours = psnr([frame.rgb for frame in result], truth, moving, others)
        said += [
            sentences(summary)[0],
            f"  given painted: frames {' and '.join(map(str, painted))} of {len(truth)}",
            f"  moving parts, {moving.mean():.0%} of the picture: {ours:.2f} dB PSNR; "
            f"copying the nearest painting {copied:.2f} dB",
            f"  frames: {folder}",
            f"  video:  {video}",
        ]
    sheet = out / f"{shot.name}.png"
    write_sheet({"line art": lines, **results, "original": original}, sheet, painted, shown)
    print(*said, f"contact sheet: {sheet}", sep="\n")


def psnr(pictures: Sequence[Array], truth: Sequence[Array], where: np.ndarray, which: Sequence[int]) -> float:
    """Peak signal-to-noise ratio in dB over the pixels ``where``, pooled over the frames ``which``, counted from 0."""
    return pooled_psnr([pictures[i] for i in which], [truth[i] for i in which], where)


def write_video(clip: Clip, path: Path) -> None:
    sink = open_sink(path, size=clip.size, rate=RATE, overwrite=True)
    for index, frame in enumerate(clip):
        sink.write(frame, index)
    sink.commit()


def write_sheet(
    rows: dict[str, Clip], path: Path, painted: Sequence[int], shown: Sequence[int], width: int = 340
) -> None:
    """Some frames side by side, a row a clip."""
    sheet = contact_sheet(
        [SheetRow([clip[frame - 1].rgb for frame in shown], name) for name, clip in rows.items()],
        [f"frame {frame}{', given painted' if frame in painted else ''}" for frame in shown],
        width=width,
    )
    Image.fromarray(sheet).save(path)


if __name__ == "__main__":
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shot", type=Path, nargs="?", default=here / "dancer")
    parser.add_argument("out", type=Path, nargs="?", default=here.parent / "out" / "demo")
    parser.add_argument(
        "--method", action="append", help="as in celpaint colorize; repeat it for more; default: matcher"
    )
    parser.add_argument("--painted", type=int, action="append", help="a frame that is given painted; default: 1 and 16")
    asked = parser.parse_args()
    try:
        main(asked.shot, asked.out, asked.method or ("matcher",), asked.painted or PAINTED)
    except (celpaint.CelpaintError, KeyboardInterrupt) as error:
        sys.exit(f"celpaint: {error}")
