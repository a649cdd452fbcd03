"""``celpaint evaluate`` and ``celpaint benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from celpaint.atomic_write import disk_errors, write_text
from celpaint.cli.show import report

__all__ = ["benchmark_command", "evaluate_command"]


def evaluate_command(
    result: Path,
    original: Path | None = None,
    /,
    *,
    lines: Annotated[Path | None, Parameter(help="the line art that was colored")] = None,
    protocol: Annotated[
        Literal["lvcd", "full"],
        Parameter(help="lvcd: the paper's metrics at 256x256; full: all, at the films' own size"),
    ] = "lvcd",
    metric: Annotated[list[str] | None, Parameter(help="these metrics instead of the protocol's")] = None,
    reference: Annotated[
        list[int] | None, Parameter(help="frames that were given painted, the first being 1; not scored")
    ] = None,
    flow: Annotated[
        Literal["auto", "raft", "gmflow", "dis"], Parameter(help="optical flow for TC and warp error")
    ] = "auto",
    device: Annotated[str, Parameter(help="where networks run")] = "auto",
    workers: Annotated[int | None, Parameter(help="threads; default one a core")] = None,
    out: Annotated[Path | None, Parameter(alias="-o", help="write the report here: .md or .json")] = None,
    quiet: Annotated[bool, Parameter(alias="-q", help="no progress", show_default=False)] = False,
    json: Annotated[bool, Parameter(help="print the report as JSON", show_default=False)] = False,
) -> None:
    """Measure results against the originals.

    Args:
        result: a folder of frames, a video, a folder of such clips, or a manifest naming clips.
        original: the originals, clips of the same names; none with a manifest.
    """
    from celpaint.benchmark import evaluate

    with report(quiet=quiet or json, json_lines=False) as told:
        measured = evaluate(
            result,
            original,
            lines=lines,
            protocol=protocol,
            metrics=metric,
            references=tuple(place - 1 for place in reference or (1,)),
            flow=flow,
            device=device,
            workers=workers,
            progress=told,
        )
    if out is not None:
        with disk_errors(out):
            write_text(out, measured.to_json() if out.suffix == ".json" else measured.markdown())
    print(measured.to_json() if json else measured.markdown(), end="")


def benchmark_command(
    suite: str,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o", help="a folder for the report, the colored frames and the clips")],
    root: Annotated[Path | None, Parameter(help="what the suite's paths are relative to; default here")] = None,
    only: Annotated[list[str] | None, Parameter(help="these runs of the suite")] = None,
    workers: Annotated[int | None, Parameter(help="processes; default one a core, or one where there is a GPU")] = None,
    device: Annotated[str, Parameter(help="where networks run")] = "auto",
    quiet: Annotated[bool, Parameter(alias="-q", help="no progress", show_default=False)] = False,
) -> None:
    """Run methods and baselines over clips and settings, and report; what was made before is not made again.

    Args:
        suite: a TOML file, or the name of a packaged suite.
    """
    from celpaint.benchmark.runner import benchmark

    with report(quiet=quiet, json_lines=False) as told:
        benchmark(suite, out, root=root, workers=workers, device=device, only=tuple(only or ()), progress=told)
    print(f"report: {out / 'index.html'}")
