"""``celpaint evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from celpaint.atomic_write import disk_errors, write_text
from celpaint.cli.show import report

__all__ = ["evaluate_command"]


def evaluate_command(
    result: Path,
    ground_truth: Path | None = None,
    /,
    *,
    lines: Annotated[Path | None, Parameter(help="the line art of the clips")] = None,
    protocol: Annotated[
        Literal["lvcd", "full"],
        Parameter(help="lvcd: the paper's metrics at 256x256; full: every metric, at the frames' own size"),
    ] = "lvcd",
    metric: Annotated[
        list[str] | None, Parameter(help="a metric to measure instead of those of the protocol; may be repeated")
    ] = None,
    reference: Annotated[
        list[int] | None,
        Parameter(help="a frame that was given painted, counted from 1, and is not scored; default: 1"),
    ] = None,
    flow: Annotated[Literal["auto", "raft", "dis"], Parameter(help="optical flow for TC and warp error")] = "auto",
    device: Annotated[str, Parameter(help="device of the networks")] = "auto",
    workers: Annotated[int | None, Parameter(help="threads; default: one per core")] = None,
    out: Annotated[Path | None, Parameter(alias="-o", help="also save the report: .md or .json")] = None,
    quiet: Annotated[bool, Parameter(alias="-q", help="print no progress", show_default=False)] = False,
    json: Annotated[bool, Parameter(help="print the report as JSON", show_default=False)] = False,
) -> None:
    """Measure results against the ground truth.

    Args:
        result: a folder of frames, a video, a folder of such clips, or a manifest naming clips.
        ground_truth: the painted originals, clips of the same names; none with a manifest.
    """
    from celpaint.benchmark.evaluation import evaluate

    with report(quiet=quiet or json, json_lines=False) as progress:
        measured = evaluate(
            result,
            ground_truth,
            lines=lines,
            protocol=protocol,
            metrics=metric,
            references=tuple(place - 1 for place in reference or (1,)),
            flow=flow,
            device=device,
            workers=workers,
            progress=progress,
        )
    if out is not None:
        with disk_errors(out):
            write_text(out, measured.to_json() if out.suffix == ".json" else measured.markdown())
    print(measured.to_json() if json else measured.markdown(), end="")
