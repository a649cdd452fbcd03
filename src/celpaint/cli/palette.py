"""``celpaint palette``: extract palettes from pictures, show them, convert them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from celpaint.conditions.palette.value import PAPER_COLORS, Palette, hex_color

__all__ = ["app"]

app = App(name="palette", default_parameter=Parameter(negative=()))

SWATCHES = (120, 600)
"""Height and width of a palette as a picture."""

Out = Annotated[
    Path | None, Parameter(alias="-o", help="also save it: .gpl, .ase, .aco, .hex, .json, or .png for swatches")
]
Overwrite = Annotated[bool, Parameter(help="replace an existing file", show_default=False)]


@app.command
def extract(
    shot: Annotated[str, Parameter(help="a picture, a folder, a pattern like A_####.png, or a video")],
    /,
    *,
    method: Annotated[
        Literal["kmeans", "gmm", "fills"],
        Parameter(
            help="kmeans: cluster means; gmm: samples of a Gaussian mixture, saturated colors only; fills: the most "
            "frequent colors, unchanged"
        ),
    ] = "kmeans",
    colors: Annotated[int, Parameter(help="number of colors, 1 to 32")] = PAPER_COLORS,
    seed: Annotated[int, Parameter(help="random seed")] = 0,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Extract a palette from painted frames."""
    from celpaint.conditions.palette.extraction import extract_gmm, extract_kmeans
    from celpaint.conditions.palette.recoloring import fills
    from celpaint.frames.read import open_clip

    clip = open_clip(shot)
    if method == "fills":
        found = fills(clip, colors)
    else:
        found = (extract_kmeans if method == "kmeans" else extract_gmm)(clip, colors=colors, seed=seed)
    _tell(found, out, overwrite)


@app.command
def show(
    palette: Annotated[
        str, Parameter(help="colors (#1d3557,#e63946), tags (tags:sky,skin), a palette file, a picture, or -")
    ],
    /,
    *,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Show a palette; with --out, convert it to another format or to a picture."""
    from celpaint.conditions.palette.files import read_palette

    _tell(read_palette(palette), out, overwrite)


def _tell(palette: Palette, out: Path | None, overwrite: bool) -> None:
    """One line a color, with a swatch where the terminal can show one; and the file."""
    swatches = sys.stdout.isatty()
    for color, name in palette.named:
        red, green, blue = (round(255 * value) for value in color)
        swatch = f"\x1b[48;2;{red};{green};{blue}m      \x1b[0m " if swatches else ""
        print(f"{swatch}{hex_color(color)} {name}".rstrip())
    if out is not None:
        _write(palette, out, overwrite)


def _write(palette: Palette, out: Path, overwrite: bool) -> None:
    from celpaint.conditions.palette.files import write_palette
    from celpaint.conditions.palette.swatches import swatch_picture
    from celpaint.errors import OutputError
    from celpaint.frames.write import open_sink
    from celpaint.types import Frame

    if out.exists() and not overwrite:
        raise OutputError(f"'{out}' exists", todo="Give another name, or --overwrite.")
    if out.suffix.lower() != ".png":
        write_palette(palette, out)
        return
    with open_sink(out, size=SWATCHES, count=1, overwrite=overwrite) as sink:
        sink.write(Frame(swatch_picture(palette, SWATCHES)), 0)
