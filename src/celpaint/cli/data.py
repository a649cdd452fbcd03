"""``celpaint data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from celpaint.cli.options import Size
from celpaint.cli.show import report
from celpaint.errors import InputError

__all__ = ["app"]

_EXAMPLES = """\
Examples:

celpaint data art --out art.safetensors

celpaint data preview --art art.safetensors --out preview/

celpaint data prepare films/*.mp4 --out prepared/ --size 576x320
"""

app = App(name="data", help="Prepare training clips.", help_epilogue=_EXAMPLES)


@app.command(name="art")
def art_command(
    *,
    out: Annotated[Path, Parameter(alias="-o", help="the file to write, about 80 MB")],
    cache: Annotated[Path | None, Parameter(help="folder for the downloaded packages; default: beside OUT")] = None,
    limit: Annotated[int | None, Parameter(help="use only so many drawings of each package, for a quick look")] = None,
    still: Annotated[Path | None, Parameter(help="also write a smaller file, 40 MB, with one cel a drawing")] = None,
) -> None:
    """Fetch openly licensed drawings and render them, once; an interrupted run resumes."""
    from celpaint.data.art import build

    art = build(out, cache_dir=cache, limit=limit)
    print(f"{len(art)} drawings: {out}")
    if still is not None:
        art.still().save(still)
        print(f"one cel of each: {still}")


@app.command(name="preview")
def preview_command(
    *,
    art: Annotated[Path, Parameter(help="the file of drawings that `celpaint data art` made")],
    out: Annotated[Path, Parameter(alias="-o", help="the folder to write sheet.png and film.mp4 to")],
    seed: Annotated[int, Parameter(help="random seed of the clips")] = 0,
    clips: Annotated[int, Parameter(help="number of clips")] = 9,
    size: Annotated[Size, Parameter(help="frame size of the film")] = (192, 320),
    seconds: Annotated[float, Parameter(help="duration of each clip in the film")] = 2.0,
) -> None:
    """Render example clips of the synthesizer: a contact sheet and a short film."""
    from celpaint.data.preview import write_preview

    height, width = size
    sheet, film = write_preview(art, out, seed, clips=clips, height=height, width=width, seconds=seconds)
    print(f"sheet: {sheet}")
    print(f"film: {film}")


@app.command(name="prepare")
def prepare_command(
    *videos: Path,
    out: Annotated[Path, Parameter(alias="-o", help="the folder to write; run again to resume or to add videos")],
    size: Annotated[Size, Parameter(help="size of the training frames")] = (320, 576),
    limit: Annotated[float, Parameter(help="histogram difference that counts as a cut")] = 30.0,
    shortest: Annotated[int, Parameter(help="minimum frames per shot")] = 15,
    longest: Annotated[int, Parameter(help="maximum frames per shot")] = 200,
    latents: Annotated[Path | None, Parameter(help="weights of an autoencoder, to store its latents too")] = None,
    device: Annotated[str, Parameter(help="device of the autoencoder")] = "cpu",
    processes: Annotated[int | None, Parameter(help="number of processes; default: one per core")] = None,
    quiet: Annotated[bool, Parameter(alias="-q", help="print no progress", show_default=False)] = False,
) -> None:
    """Cut your own films into shots to train on.

    Args:
        videos: files, or folders of numbered pictures.
    """
    from celpaint.data.prepare import prepare

    if not videos:
        raise InputError("no video was given", wanted="at least one", todo="celpaint data prepare VIDEO... --out DIR")
    with report(quiet=quiet, json_lines=False) as told:
        done = prepare(
            videos,
            out,
            size=size,
            limit=limit,
            shortest=shortest,
            longest=longest,
            latents=latents,
            device=device,
            processes=processes,
            progress=told,
        )
    for name, reason in done.skipped:
        print(f"skipped {name}: {reason}")
    print(f"{done.shots} shots, {done.frames} frames: {done.folder}")
