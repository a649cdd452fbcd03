"""All packaged networks trained side by side on one GPU in a few minutes: ``make train-gpu MINUTES=8``.

    art -> one process a job, each with clips composed on the device -> OUT/<job>/export, then the film figures

Every job is a recipe; ``JOBS`` says how much of the time it has and what it starts from. The jobs share the GPU, which
small networks alone don't fill. A run that was stopped resumes from its checkpoints.

    python -m celpaint.train.gpu --art build/art.safetensors --out build/gpu --minutes 8
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["JOBS", "Job", "main"]


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        recipe: name of a packaged recipe.
        start, end: when it begins and ends, as shares of all minutes.
        overrides: recipe key => value; ``{name}`` stands for the export of another job.
    """

    recipe: str
    start: float = 0.0
    end: float = 1.0
    overrides: tuple[str, ...] = ()


JOBS: Mapping[str, Job] = {
    "matcher": Job("matcher_film"),
    "palette": Job("palette_small"),
    "line_vae": Job("line_vae", 0.0, 0.35, ("data.source=film", "data.size=[192,320]", "data.clips=6")),
    "lvcd": Job(
        "lvcd_refine",
        0.36,
        1.0,
        ("data.source=film", "data.size=[192,320]", "data.clips=6", "task.autoencoder={line_vae}"),
    ),
    "shi2023": Job(
        "shi2023",
        0.0,
        1.0,
        ("data.source=film", "data.size=[160,288]", "data.clips=4", "task.features=none"),  # VGG16 has to be fetched
    ),
    "colorize_diffusion": Job("colorize_diffusion_small"),
}
"""Name => job."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; the exit status is 1 if a job failed."""
    parser = argparse.ArgumentParser(prog="celpaint.train.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--art", type=Path, required=True, help="drawings, made by celpaint data art")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and exports")
    parser.add_argument("--minutes", type=float, default=8.0, help="for all jobs together")
    parser.add_argument("--jobs", default=",".join(JOBS), help="some of " + ", ".join(JOBS))
    parser.add_argument("--set", action="append", default=[], help="JOB:recipe.key=value")
    parser.add_argument("--shots", type=int, default=8, help="film-like shots to color at the end; 0 = none")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--deadline", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = options.jobs.split(",")
    unknown = [name for name in names if name not in JOBS]
    if unknown:
        parser.error(f"there is no job '{unknown[0]}'; wanted some of {', '.join(JOBS)}")
    if options.job:
        return _train(options.job, options)
    return _side_by_side(names, options)


def _side_by_side(names: Sequence[str], options: argparse.Namespace) -> int:
    """Start every job at its time in a process of its own and wait for all."""
    began = time.monotonic()
    waiting, failed = list(names), list[str]()
    running: dict[str, subprocess.Popen[bytes]] = {}
    options.out.mkdir(parents=True, exist_ok=True)
    while waiting or running:
        share = (time.monotonic() - began) / 60 / options.minutes
        for name in [n for n in waiting if JOBS[n].start <= share]:
            waiting.remove(name)
            command = [sys.executable, "-m", "celpaint.train.gpu", "--job", name, *_passed_on(options, began)]
            with (options.out / f"{name}.log").open("ab") as log:
                running[name] = subprocess.Popen(command, stdout=log, stderr=log)
        for name, process in list(running.items()):
            if process.poll() is not None:
                del running[name]
                print(f"{name}: exit status {process.returncode}, {time.monotonic() - began:.0f} s", flush=True)
                failed += [name] if process.returncode else []
        time.sleep(0.2)
    if options.shots and "matcher" in names and "matcher" not in failed:
        _print_film_figures(options.out / "matcher" / "export", options)
    return 1 if failed else 0


def _print_film_figures(weights: Path, options: argparse.Namespace) -> None:
    """Color film-like shots with the new weights and with those in the package."""
    from celpaint.train.film_figures import film_figures

    workers = min(options.shots, max((os.cpu_count() or 2) // 2, 1))
    print("film-like shots, extracted lines, one painting, PSNR in dB (copying the painting):", flush=True)
    for name, folder in (("new weights", weights), ("packaged weights", Path("small"))):
        found = film_figures(folder, shots=options.shots, workers=workers)
        for shot in found:
            print(f"  {name}  {shot.name}: {shot.psnr:.2f} ({shot.copy:.2f})", flush=True)
        mean, copy = (sum(values) / len(found) for values in zip(*((s.psnr, s.copy) for s in found), strict=True))
        print(f"{name}: {mean:.2f} ({copy:.2f})", flush=True)


def _passed_on(options: argparse.Namespace, began: float) -> list[str]:
    deadline = time.time() - (time.monotonic() - began) + options.minutes * 60
    sets = [word for item in options.set for word in ("--set", item)]
    minutes = ["--minutes", str(options.minutes), "--deadline", str(deadline)]
    return ["--art", str(options.art), "--out", str(options.out), *minutes, *sets]


def _train(name: str, options: argparse.Namespace) -> int:
    """Train one job until its share of the time is over, counted from the start of all."""
    import torch

    from celpaint.data.film import load_banks
    from celpaint.train import run

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    torch.set_num_threads(2)
    job = JOBS[name]
    exports = {other: str(options.out / other / "export") for other in JOBS}
    given = [item.removeprefix(f"{name}:") for item in options.set if item.startswith(f"{name}:")]
    overrides = [f"data.path={options.art}", *(o.format(**exports) for o in job.overrides), *given]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    load_banks(options.art, device, _drawings(overrides))  # before the clock: the run finds them loaded
    end = options.deadline - (1 - job.end) * options.minutes * 60
    summary = run(Path(job.recipe), overrides, max((end - time.time()) / 60, 0.05), options.out / name)
    print(f"{summary.step} steps, {summary.frames} frames, {summary.seconds:.0f} s: {summary.figures}", flush=True)
    return 0


def _drawings(overrides: Sequence[str]) -> int:
    """What the overrides say of ``data.drawings``."""
    given = [o.partition("=")[2] for o in overrides if o.startswith("data.drawings=")]
    return int(given[-1]) if given else 0


if __name__ == "__main__":
    raise SystemExit(main())
