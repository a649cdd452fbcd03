"""``celpaint colorize``."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from celpaint.cli.options import given, takes
from celpaint.cli.show import report
from celpaint.methods.registry import default_method, method_names, method_specs, style_method
from celpaint.options import ComputeOptions, PathOptions
from celpaint.render import render
from celpaint.session import split_options
from celpaint.types import Progress

__all__ = ["colorize_command"]


@takes(
    {
        "Shot": PathOptions,
        "Computing": ComputeOptions,
        **{f"Only with --method {name}": spec.options for name, spec in method_specs().items()},
    }
)
def colorize_command(
    lines_from: Annotated[str, Parameter(name="LINES", help="a folder, a pattern like A_####.png, or a video")],
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o", help="a folder, or a file: .mp4, .mov, .mkv, .webm, .gif, .webp")],
    reference: Annotated[
        list[str] | None,
        Parameter(
            alias="-r",
            help="a painted frame, as PICTURE or PICTURE@FRAME. FRAME is the number in the file name (for video, "
            "counted from 1), or 'none'. Default: the first frame. May be repeated",
        ),
    ] = None,
    palette: Annotated[
        str | None, Parameter(alias="-p", help="colors to paint with: #1d3557,#e63946, a palette file, or a picture")
    ] = None,
    text: Annotated[str, Parameter(help="a description or tags", show_default=False)] = "",
    style_reference: Annotated[
        Path | None,
        Parameter(
            help="instead of a painted frame, a picture of the wanted colors that may show anything: one drawing is "
            f"colored from it by {style_method().title} and written beside the result, then the shot from that"
        ),
    ] = None,
    style_weights: Annotated[str, Parameter(help="weights for --style-reference")] = "small",
    method: Annotated[
        str,
        Parameter(
            help=f"auto, {', '.join(method_names())}; auto: the best measured that fits, usually {default_method()}"
        ),
    ] = "auto",
    overwrite: Annotated[bool, Parameter(help="replace an existing result", show_default=False)] = False,
    fps: Annotated[
        Fraction | None, Parameter(help="frame rate of a video, such as 24 or 24000/1001; default: as the input, or 24")
    ] = None,
    image_format: Annotated[
        Literal["png", "tif", "tga"] | None, Parameter(help="format of pictures in a folder; default: as the input")
    ] = None,
    confidence_maps: Annotated[
        Path | None, Parameter(help="a folder for gray pictures of the confidence, white where confident")
    ] = None,
    quiet: Annotated[bool, Parameter(alias="-q", help="print only errors", show_default=False)] = False,
    json: Annotated[bool, Parameter(help="print every event as JSON, one object per line", show_default=False)] = False,
    **options: Any,
) -> None:
    """Color line art from painted reference frames.

    If a run is interrupted, run the same command again to resume.
    """
    chosen = given(options)
    references: list[Any] = [*(reference or [])]
    with report(quiet=quiet, json_lines=json) as told:
        if style_reference is not None:
            references += _style_keys(lines_from, out, style_reference, style_weights, chosen, told)
        told.end(
            render(
                lines_from,
                out,
                reference=references,
                palette=palette,
                text=text,
                method=method,
                overwrite=overwrite,
                fps=fps,
                image_format=image_format,
                confidence_maps=confidence_maps,
                progress=told,
                **chosen,
            )
        )


def _style_keys(
    lines_from: str, out: Path, style: Path, weights: str, options: Mapping[str, Any], progress: Progress
) -> list[tuple[Path, str]]:
    """Painted frames for a shot, made where its own options for reading and computing say."""
    from celpaint.style_keys import paint_keys

    of_path, own = split_options(options)
    method: dict[str, Any] = {"weights": weights}
    method |= {name: own[name] for name in ("seed", "device", "dtype", "offload", "preview") if name in own}
    return paint_keys(lines_from, out, style, style_method().options.of(method), PathOptions.of(of_path), progress)
