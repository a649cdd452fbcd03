"""``celpaint recolor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from celpaint.cli.show import report

__all__ = ["recolor_command"]


def recolor_command(
    shot: Annotated[str, Parameter(help="a painted shot: a folder, a pattern like A_####.png, or a video")],
    /,
    *,
    palette: Annotated[
        str, Parameter(alias="-p", help="the new colors: #1d3557,#e63946, a palette file, a picture, or -")
    ],
    out: Annotated[Path, Parameter(alias="-o", help="a folder, or a file: .mp4, .mov, .mkv, .webm, .gif, .webp")],
    before: Annotated[
        str | None,
        Parameter(
            name="--from", help="the colors to replace, in the same order; default: those of the shot, best matched"
        ),
    ] = None,
    overwrite: Annotated[bool, Parameter(help="replace an existing result", show_default=False)] = False,
    quiet: Annotated[bool, Parameter(alias="-q", help="print only errors", show_default=False)] = False,
) -> None:
    """Recolor a painted shot with another palette."""
    from celpaint.recolor import recolor

    with report(quiet=quiet, json_lines=False) as progress:
        done = recolor(shot, out, palette=palette, before=before, overwrite=overwrite, progress=progress)
    if not quiet:
        print("\n".join(f"{old} -> {new}" for old, new in done.pairs))
        print(f"{done.frames} frames written to {done.out}")
