"""``celpaint benchmark``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from celpaint.atomic_write import disk_errors
from celpaint.benchmark.lvcd.parts import LVCDPart
from celpaint.benchmark.matcher.parts import MatcherPart
from celpaint.cli.options import Size
from celpaint.cli.show import report
from celpaint.errors import InputError, OptionError

__all__ = ["app"]

_EXAMPLES = """\
Examples:

celpaint benchmark report --out build/report

celpaint benchmark my_suite.toml --out build/mine --only matcher

celpaint benchmark validate-matcher quality --films 2

celpaint benchmark speed frames --height 720
"""

app = App(
    name="benchmark",
    help="Measure methods and baselines on clips, and write a report; or measure one part in depth.",
    help_epilogue=_EXAMPLES,
)
speed = App(name="speed", help="Measure the time and memory of one part.")
app.command(speed)

Art = Annotated[Path, Parameter(help="the file of drawings that `celpaint data art` made")]
Films = Annotated[int, Parameter(help="films per combination of conditions; the published tables use 8")]
Processes = Annotated[int | None, Parameter(help="number of processes; default: one per core")]
Docs = Annotated[Path | None, Parameter(help="a document to update with the tables and pictures")]
Shot = Annotated[Path, Parameter(help="the example shot: a folder with lines, original and reference.png")]
Weights = Annotated[str, Parameter(help="'small' (packaged) or a folder")]
Device = Annotated[str, Parameter(help="device of the networks")]
Dtype = Annotated[str, Parameter(help="number format inside the networks")]

_ART, _SHOT = Path("build/art.safetensors"), Path("examples/dancer")


@app.default
def suite_command(
    suite: str,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o", help="a folder for the report, the colored frames and the clips")],
    root: Annotated[Path | None, Parameter(help="folder that the suite's paths are relative to; default: here")] = None,
    only: Annotated[list[str] | None, Parameter(help="run only this run of the suite; may be repeated")] = None,
    shots: Annotated[int | None, Parameter(help="at most so many films of every kind, for a quick look")] = None,
    workers: Annotated[int | None, Parameter(help="processes; default: one per core, or one with a GPU")] = None,
    device: Device = "auto",
    quiet: Annotated[bool, Parameter(alias="-q", help="no progress", show_default=False)] = False,
) -> None:
    """Run a suite and write its report; results that are already there are not made again.

    Args:
        suite: a TOML file, or the name of a packaged suite.
    """
    from celpaint.benchmark.runner import benchmark

    with report(quiet=quiet, json_lines=False) as progress:
        benchmark(
            suite,
            out,
            root=root,
            workers=workers,
            device=device,
            only=tuple(only or ()),
            max_films=shots,
            progress=progress,
        )
    print(f"report: {out / 'index.html'}")


@app.command(name="export")
def export_command(
    suite: str,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o", help="a folder for the clips and their manifest")],
    root: Annotated[Path | None, Parameter(help="folder that the suite's paths are relative to; default: here")] = None,
    shots: Annotated[int | None, Parameter(help="at most so many films of every kind, for a quick look")] = None,
) -> None:
    """Write a suite's clips as folders, for other programs; `celpaint evaluate` then measures their results.

    Args:
        suite: a TOML file, or the name of a packaged suite.
    """
    from celpaint.benchmark.films import benchmark_clips
    from celpaint.benchmark.suite import find_suite, read_suite

    clips = list(benchmark_clips(read_suite(find_suite(suite)).at_most(shots), out, root or Path()))
    print(f"{len(clips)} clips: {out / 'manifest.toml'}")


@app.command(name="film-sheet")
def film_sheet_command(*, out: Annotated[Path, Parameter(alias="-o", help="the picture to write")]) -> None:
    """Write a contact sheet of the film-like shots."""
    from PIL import Image

    from celpaint.benchmark.film import shots_sheet

    with disk_errors(out):
        Image.fromarray(shots_sheet()).save(out)
    print(f"sheet: {out}")


@app.command(name="check-film")
def check_film_command(
    copy: Path | None = None,
    /,
    *,
    shots: Annotated[int | None, Parameter(help="check only so many shots")] = None,
    workers: Processes = None,
) -> None:
    """Check that the film-like shots are the benchmark's, to the pixel, and if not, by how much they differ.

    Args:
        copy: a folder with the folders of the shots, as `celpaint benchmark export film` writes them; default: the
            shots are rendered here.
    """
    from celpaint.benchmark.film_sums import check_shots
    from celpaint.benchmark.processes import default_workers
    from celpaint.data.scripted.shots import SHOTS

    numbers = range(len(SHOTS))[:shots]
    different = 0
    for comparison in check_shots(copy, numbers, workers or default_workers("cpu")):
        print(comparison, flush=True)
        different += comparison.different > 0
    if different:
        raise InputError(
            f"{different} of {len(numbers)} shots do not match the benchmark exactly",
            wanted="the same sums",
            todo="Differences of a few 1/255 do not change scores; mention them when you report scores.",
        )


@app.command(name="validate-matcher")
def validate_matcher_command(
    parts: Annotated[tuple[MatcherPart, ...], Parameter(help="what to measure; default: everything")] = (),
    /,
    *,
    art: Art = _ART,
    films: Films = 8,
    size: Annotated[Size, Parameter(help="size of the films, in multiples of 16")] = (320, 576),
    weights: Weights = "small",
    dtype: Dtype = "auto",
    device: Device = "auto",
    shot: Shot = _SHOT,
    workers: Processes = None,
    out: Annotated[Path | None, Parameter(alias="-o", help="a folder for tables, values and contact sheets")] = None,
    docs: Docs = None,
) -> None:
    """Measure the matcher: held-out drawings, the example shot, consistency, time and memory."""
    from celpaint.benchmark.matcher.validation import validate_matcher
    from celpaint.benchmark.study import StudySettings

    workers = _check(films, workers, size)
    settings = StudySettings(art, weights, device, dtype, size, films, workers, shot)
    print(validate_matcher(settings, parts, out=out, docs=docs))


@app.command(name="validate-lvcd")
def validate_lvcd_command(
    parts: Annotated[tuple[LVCDPart, ...], Parameter(help="what to measure; default: everything")] = (),
    /,
    *,
    art: Art = _ART,
    films: Films = 8,
    size: Annotated[Size, Parameter(help="size of the films, in multiples of 16")] = (192, 320),
    weights: Weights = "small",
    dtype: Dtype = "auto",
    device: Device = "auto",
    shot: Shot = _SHOT,
    workers: Processes = None,
    out: Annotated[Path, Parameter(alias="-o", help="a folder for tables, values and contact sheets")],
    docs: Docs = None,
) -> None:
    """Measure LVCD small on held-out drawings and on the example shot, with several sampler settings."""
    from celpaint.benchmark.lvcd.validation import validate_lvcd
    from celpaint.benchmark.study import StudySettings

    workers = _check(films, workers, size)
    settings = StudySettings(art, weights, device, dtype, size, films, workers, shot)
    print(validate_lvcd(settings, parts, out=out, docs=docs))


@app.command(name="validate-palette")
def validate_palette_command(
    *,
    art: Art = _ART,
    films: Films = 4,
    frames: Annotated[int, Parameter(help="of a film")] = 24,
    size: Size = (192, 320),
    weights: Weights = "small",
    device: Device = "auto",
    dtype: Dtype = "auto",
    out: Annotated[Path | None, Parameter(alias="-o", help="a folder for the tables and a sheet")] = None,
) -> None:
    """Measure the palette method on held-out films turned gray."""
    from celpaint.benchmark.palette.validation import validate_palette
    from celpaint.benchmark.study import StudySettings, save_sheet

    _check(films, 1, size)
    text, sheet = validate_palette(StudySettings(art, weights, device, dtype, size, films), frames=frames)
    print(text, end="")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "palette.md").write_text(text, encoding="utf-8")
        save_sheet(sheet, out / "palette.webp")


def _check(films: int, workers: int | None, size: tuple[int, int]) -> int:
    workers = workers or os.cpu_count() or 1
    if min(films, workers) < 1:
        raise OptionError(f"--films is {films}, --workers is {workers}", wanted="1 or more")
    if any(side % 16 for side in size):
        raise OptionError(f"--size is {size[1]}x{size[0]}", wanted="sides that are multiples of 16")
    return workers


@app.command(name="smoke-train")
def smoke_train_command(
    *,
    minutes: Annotated[float, Parameter(help="minutes per network")] = 1.0,
    out: Annotated[Path, Parameter(alias="-o", help="a folder for the runs, emptied first")] = Path("build/smoke"),
) -> int:
    """Train each network for a minute on toy drawings; fail unless validation improves."""
    from celpaint.benchmark.speed.smoke_training import smoke_training

    failed = smoke_training(minutes, out)
    if failed:
        print(f"did not improve: {', '.join(failed)}")
    return 1 if failed else 0


# -- speed ---------------------------------------------------------------------------------------------------------


@speed.command(name="lvcd")
def lvcd_command(
    *,
    config: Annotated[
        Literal["auto", "full", "small", "tiny"], Parameter(help="auto: full where there is a GPU, else small")
    ] = "auto",
    size: Annotated[Size, Parameter(help="working size")] = (320, 576),
    steps: Annotated[int, Parameter(help="2 or more")] = 25,
    segments: Annotated[int, Parameter(help="2 or more; the first is not timed")] = 3,
    overlap: int = 4,
    device: Device = "auto",
    dtype: Dtype = "auto",
    offload: Annotated[bool, Parameter(show_default=False)] = False,
    compile: Annotated[bool, Parameter(show_default=False)] = False,
    count: Annotated[bool, Parameter(help="only count operations and parameters", show_default=False)] = False,
    out: Annotated[Path | None, Parameter(alias="-o", help="also save the values as JSON")] = None,
) -> None:
    """LVCD with random weights: seconds per step and per frame, memory, operations."""
    import torch

    from celpaint.benchmark.json_text import to_json, write_json
    from celpaint.benchmark.lvcd.speed import CONFIGS, arithmetic, lvcd_speed, speed_table
    from celpaint.methods.lvcd.spec import LVCDOptions

    if min(steps, segments) < 2:
        raise OptionError(f"--steps is {steps}, --segments is {segments}", wanted="2 or more")
    name = config if config != "auto" else "full" if torch.cuda.is_available() else "small"
    if count:
        found = dict(arithmetic(CONFIGS[name], size, overlap))
        print(to_json(found), end="")
    else:
        given = {"device": device, "dtype": dtype, "offload": offload, "compile": compile}
        options = LVCDOptions.of({"steps": steps, "size": size, "overlap": overlap, **given})
        found = lvcd_speed(name, options, segments)
        print(speed_table([found]))
    if out is not None:
        write_json(out, found)


@speed.command(name="matcher")
def matcher_command(*, weights: Weights = "small", dtype: Dtype = "auto", device: Device = "auto") -> None:
    """The matcher: seconds per drawing and peak memory at three sizes."""
    from celpaint.benchmark.matcher.validation import validate_matcher
    from celpaint.benchmark.study import StudySettings

    print(validate_matcher(StudySettings(_ART, weights, device, dtype), ("speed",)))


@speed.command(name="frames")
def frames_command(
    *,
    height: Annotated[int, Parameter(help="height of a 16:9 frame")] = 1080,
    frames: Annotated[int, Parameter(help="frames per file")] = 24,
) -> None:
    """Reading and writing each file format: CPU time, size, color error."""
    from celpaint.benchmark.speed.frames import frames_speed

    print(frames_speed(height, frames), end="")


@speed.command(name="finish")
def finish_command(
    *,
    height: Annotated[int, Parameter(help="height of a 16:9 frame")] = 1080,
    repeats: Annotated[int, Parameter(help="number of calls; the median is reported")] = 5,
) -> None:
    """Everything done to a frame outside the networks, on one core."""
    from celpaint.benchmark.speed.finish import finish_speed

    print(finish_speed(height, repeats), end="")


@speed.command(name="metrics")
def metrics_command(
    *,
    frames: Annotated[int, Parameter(help="frames of the film")] = 1000,
    workers: Annotated[int | None, Parameter(help="threads; default: one per core")] = None,
) -> None:
    """The LVCD protocol without flow and Frechet distances."""
    from celpaint.benchmark.speed.metrics import metrics_speed

    print(metrics_speed(frames, workers), end="")


@speed.command(name="sharing")
def sharing_command(
    *,
    drawings: Annotated[int, Parameter(help="of the shot")] = 24,
    size: Annotated[Size, Parameter(help="of the shot")] = (192, 320),
    threads: Annotated[int | None, Parameter(help="of every run; default: as always")] = None,
) -> None:
    """Coloring beside other work: two runs at once and one beside a busy core, against the fair share."""
    from celpaint.benchmark.speed.sharing import sharing_speed

    if drawings < 2 or (threads or 1) < 1:
        raise OptionError(f"--drawings is {drawings}, --threads is {threads}", wanted="2 or more, and 1 or more")
    print(sharing_speed(drawings, size, threads), end="")


@speed.command(name="synthesizer")
def synthesizer_command(
    *,
    art: Annotated[Path | None, Parameter(help="drawings made by `celpaint data art`; default: toy drawings")] = None,
    device: Annotated[str, Parameter(help="device that renders the films")] = "cpu",
    threads: int = 1,
    clips: Annotated[int, Parameter(help="clips per batch")] = 8,
) -> None:
    """The animation synthesizer: frames per second."""
    from celpaint.benchmark.speed.synthesizer import synthesizer_speed

    print(synthesizer_speed(art, device, threads, clips), end="")


@speed.command(name="training")
def training_command(
    recipe: Path,
    /,
    *,
    set: Annotated[list[str] | None, Parameter(help="change one setting: TABLE.KEY=VALUE")] = None,
    rounds: Annotated[int, Parameter(help="number of rounds; the median is reported")] = 5,
) -> None:
    """Training: frames per second of rendering clips, of a training step, and of both.

    Args:
        recipe: a TOML file, or the name of a packaged recipe such as matcher.
    """
    from celpaint.benchmark.speed.training import training_speed

    print(training_speed(recipe, tuple(set or ()), rounds), end="")
