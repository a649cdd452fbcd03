"""``celpaint train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from celpaint.train import export, run

__all__ = ["app"]

_EXAMPLES = """\
Examples:

celpaint train matcher

celpaint train my.toml --set optimizer.lr=1e-4 --minutes 60

celpaint train export runs/matcher --out weights/
"""

app = App(name="train", help="Train a network, or export trained weights.", help_epilogue=_EXAMPLES)


@app.default
def train_command(
    recipe: Path,
    /,
    *,
    set: Annotated[list[str] | None, Parameter(help="change one setting: TABLE.KEY=VALUE")] = None,
    minutes: Annotated[float | None, Parameter(help="time limit; includes the last checkpoint and the export")] = None,
    run_dir: Annotated[
        Path | None, Parameter(help="folder of checkpoints and export; a run that is there is resumed")
    ] = None,
) -> int:
    """Train with a recipe, or resume an interrupted run.

    Args:
        recipe: a TOML file, or the name of a packaged recipe such as matcher.
    """
    summary = run(recipe, tuple(set or ()), minutes, run_dir)
    figures = ", ".join(f"{name} {value:.4g}" for name, value in summary.figures.items())
    print(f"{'finished' if summary.finished else 'stopped'} after {summary.step} steps, {summary.seconds / 60:.1f} min")
    if figures:
        print(f"validation: {figures}")
    return 0 if summary.finished else 130


@app.command(name="export")
def export_command(
    source: Path,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o", help="the folder to write")],
    newest: Annotated[
        bool, Parameter(help="use the newest checkpoint instead of the best", show_default=False)
    ] = False,
    full: Annotated[
        bool, Parameter(help="keep the trained number format instead of float16", show_default=False)
    ] = False,
) -> None:
    """Write the weights of a run: config, safetensors of at most 16 MB each, and a card.

    Args:
        source: the folder of a run, or one of its checkpoints.
    """
    print(f"weights: {export(source, out, best=not newest, half=not full)}")
