"""Compare clips with their ground truth, in one pass, in bounded memory."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from celpaint.benchmark.metric_suite import PROTOCOLS, EvaluationClip, FlowName, MetricSpec, MetricSuite
from celpaint.benchmark.score_report import ScoreReport
from celpaint.errors import InputError, OptionError
from celpaint.frames.video import VIDEO_SUFFIXES
from celpaint.types import DrawingColored, Progress, silent

__all__ = ["evaluate", "read_manifest"]


def evaluate(
    result: Path,
    ground_truth: Path | None = None,
    *,
    lines: Path | None = None,
    protocol: Literal["lvcd", "full"] = "lvcd",
    metrics: Sequence[str] | None = None,
    references: Sequence[int] = (0,),
    flow: FlowName = "auto",
    device: str = "auto",
    workers: int | None = None,
    progress: Progress = silent,
) -> ScoreReport:
    """Measure a result against the ground truth.

    Args:
        result: a folder of frames, a video, a folder of such clips, or a manifest: a TOML or JSON file with one table
            ``clip`` each, holding ``result``, ``ground_truth`` and optionally ``lines``, ``name`` and ``references``,
            paths relative to the manifest.
        ground_truth: the same kind of thing, clips of the same names; None with a manifest.
        lines: the line art that was colored; metrics of lines and segments need it.
        protocol: which metrics, at which size; see :data:`~celpaint.benchmark.metric_suite.PROTOCOLS`.
        metrics: names of :data:`~celpaint.benchmark.metric_suite.METRICS` instead of the protocol's own.
        references: frames that were given painted, 0-based; they are not scored.
        flow: estimator for TC and warp error; ``auto`` takes RAFT where torchvision is installed, else DIS.
        device: where networks run.
        workers: threads; default: one a processor core.
        progress: called for every frame.

    Returns:
        The report; a metric whose network is not there is listed as missing, with what to do.

    Raises:
        InputError: nothing to read, or clips that differ in count or size; both are named.
        OptionError: an unknown metric or protocol.
        WeightsError, MissingExtra: nothing of what was asked for can be measured.
    """
    if protocol not in PROTOCOLS:
        raise OptionError(f"protocol {protocol!r} is not known", wanted=" or ".join(PROTOCOLS))
    clips = _clips(Path(result), None if ground_truth is None else Path(ground_truth), lines, tuple(references))
    spec = MetricSpec(tuple(metrics or PROTOCOLS[protocol].metrics), PROTOCOLS[protocol].size, flow, device)
    suite = MetricSuite.load(spec, with_lines=all(clip.lines is not None for clip in clips))
    total = sum(clip.check() for clip in clips)
    seen = itertools.count(1)
    measured = [
        suite.measure(clip, workers=workers, tick=lambda: progress(DrawingColored(next(seen), total))) for clip in clips
    ]
    return suite.report(
        measured,
        {
            "protocol": f"{protocol}: {PROTOCOLS[protocol].about}",
            "mean": "over the frames that were not given painted, then over clips; Frechet distances over all together",
        },
    )


def _clips(
    result: Path, ground_truth: Path | None, lines: Path | None, references: tuple[int, ...]
) -> list[EvaluationClip]:
    if ground_truth is None:
        return read_manifest(result, references)
    if not (_holds_clips(result) and _holds_clips(ground_truth)):
        return [EvaluationClip(result.stem, result, ground_truth, lines, references)]
    results, truths = _clips_in(result), _clips_in(ground_truth)
    drawn = None if lines is None else _clips_in(lines)
    for folder, found in ((ground_truth, truths), (lines, drawn)):
        if found is not None and (odd := sorted(results.keys() ^ found.keys())):
            raise InputError(
                f"clip '{odd[0]}' is in only one of '{result}' and '{folder}'",
                wanted="the same clips in both",
                todo="Give the folders that belong together, or a manifest.",
            )
    return [
        EvaluationClip(name, path, truths[name], None if drawn is None else drawn[name], references)
        for name, path in results.items()
    ]


def _holds_clips(path: Path) -> bool:
    """Whether a folder holds clips, in folders of their own or as videos, and not frames."""
    if not path.is_dir():
        return False
    visible = [p for p in path.iterdir() if not p.name.startswith(".")]
    return bool(visible) and all(p.is_dir() or p.suffix.lower() in VIDEO_SUFFIXES for p in visible)


def _clips_in(folder: Path) -> dict[str, Path]:
    return {p.stem: p for p in sorted(folder.iterdir()) if not p.name.startswith(".")}


def read_manifest(path: Path, references: tuple[int, ...] = (0,)) -> list[EvaluationClip]:
    """The clips that a TOML or JSON manifest names.

    Raises:
        InputError: no such file, no valid manifest, or a clip without result or ground truth.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
        clips = []
        for i, clip in enumerate(table["clip"]):
            unknown = sorted(clip.keys() - {"name", "result", "ground_truth", "lines", "references"})
            if unknown:
                raise InputError(f"'{path}', clip {i + 1}: '{unknown[0]}' is not known")
            clips.append(
                EvaluationClip(
                    name=str(clip.get("name", Path(clip["result"]).stem)),
                    result=path.parent / clip["result"],
                    ground_truth=path.parent / clip["ground_truth"],
                    lines=path.parent / clip["lines"] if "lines" in clip else None,
                    references=tuple(int(r) for r in clip.get("references", references)),
                )
            )
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"'{path}' is not a manifest of clips ({type(error).__name__}: {error})",
            wanted="a TOML or JSON file with tables 'clip', each with 'result' and 'ground_truth'",
            todo="Or give the ground truth as well, where you meant a clip.",
        ) from None
    if not clips:
        raise InputError(f"'{path}' names no clips")
    return clips
