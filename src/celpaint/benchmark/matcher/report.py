"""All tables of what was measured, each with an explanation: the figures of ``docs/results/matcher.md``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from celpaint.benchmark.tables import Record, by_columns, by_distance, markdown_table, mean_and_error

__all__ = ["NAMES", "report"]


NAMES = {
    "copy": "copying",
    "flow": "optical flow",
    "flow-chained": "optical flow, chained",
    "segments": "segment matching",
}
"""Of the baselines; see docs/guide/benchmark.md."""


def report(records: Sequence[Record], settings: str) -> str:
    """Markdown: the settings, then a section a part that was measured."""
    named = [{**record, "method": NAMES.get(record.get("method", ""), record.get("method", ""))} for record in records]
    parts: dict[str, list[Record]] = {}
    for record in named:
        parts.setdefault(record["part"], []).append(record)
    written = {"quality": _quality, "segments": _segments, "consistency": _consistency, "demo": _demo, "speed": _speed}
    sections = [text for part, write in written.items() if part in parts for text in write(parts[part])]
    return "\n\n".join([settings, *sections, *_aims(parts)]) + "\n"


def _quality(records: list[Record]) -> list[str]:
    one = [r for r in records if r["references"] == 1]
    own = [r for r in one if r["method"] == "matcher"]
    clean = [r for r in records if r["lines"] == "clean" and r["method"] == "matcher"]
    matched = [
        {**r, "counted": name, "right": 100 * r[key]}
        for name, key in (("whole picture", "matched"), ("drawings", "matched_drawings"))
        for r in own
    ]
    return [
        "### PSNR, one painting",
        "dB, mean ± standard error over the films, result as the network paints it, without the artist's lines "
        "laid over. At one frame most drawings are held still, and copying them is nearly exact; equal pictures "
        "count as 100 dB.",
        by_distance(one, ("lines", "method"), "psnr", 1),
        "### LPIPS, one painting",
        "AlexNet, lower is better, same films.",
        by_distance(one, ("lines", "method"), "lpips", 3),
        "### More paintings",
        "Clean lines. Further paintings follow the drawing at the distance at which the first precedes it; each "
        "number of paintings has its own films. PSNR in dB, then LPIPS.",
        by_distance(clean, ("references",), "psnr", 1),
        by_distance(clean, ("references",), "lpips", 3),
        "### Matching",
        "Of the tokens (8 x 8 pixels) that the painting shows, the percentage whose best match is the right position: "
        "within three quarters of a token, or the nearest within one and a half. In a blank background the right "
        "position can't be seen and matters little, so drawings are also counted separately.",
        by_distance(matched, ("lines", "counted"), "right", 1),
        "### Confidence",
        "The confidence of the network, and how often all channels were within 0.08.",
        _calibration(own),
    ]


def _calibration(records: list[Record]) -> str:
    sums = np.sum([r["confidence"] for r in records], axis=0)
    return markdown_table(
        ["confidence", "colors right", "share of pixels"],
        [
            [f"{said / count:.2f}", f"{right / count:.2f}", f"{count / sums[:, 2].sum():.3f}"]
            for right, said, count in sums[sums[:, 2] > 0]
        ],
        left=0,
    )


def _segments(records: list[Record]) -> list[str]:
    return [
        "### Segments of flat cels",
        "The same films with every part in one color of its own. Share of the closed regions of more than 10 "
        "pixels whose most frequent color is exactly right; parts that the painting does not show are left out. "
        "*Nearest paint* first replaces every pixel by the nearest of the drawing's own colors. For extracted lines, "
        "regions are those of the clean lines.",
        by_distance(records, ("lines", "method"), "right", 3, weight="total"),
    ]


def _consistency(records: list[Record]) -> list[str]:
    seen, _ = mean_and_error([r["seen"] for r in records])
    return [
        "### Consistency",
        "Eight neighboring frames, the first 5 after the painting; clean, pencil and jittering lines. Warp "
        "error: squared difference of each frame and the one before, moved by the flow that the synthesizer "
        f"knows, over RGB, in units of 1e-4, where the same point is seen in both ({seen:.0%} of the pixels). "
        "Change: of the error from frame to frame, mean over pixels and channels, in 1/255.",
        by_columns(
            records,
            ("method",),
            {"psnr": ("PSNR", 1), "warp": ("warp error", 1), "change": ("change of the error", 2)},
        ),
    ]


def _demo(records: list[Record]) -> list[str]:
    return [
        "### Example shot",
        "`examples/dancer` as a user would color it, with the artist's lines laid over, also for the "
        "baselines. PSNR in dB of the moving parts, as `make demo` prints it of the matcher; LPIPS of whole frames. "
        "Flicker: of the pixels that stay exactly as they are from one original frame to the next, the share that "
        "changes by more than 8/255.",
        by_columns(
            [{**r, "flicker": 100 * r["flicker"]} for r in records],
            ("method",),
            {"psnr": ("PSNR", 1), "lpips": ("LPIPS", 3), "flicker": ("flicker, %", 2)},
        ),
    ]


def _speed(records: list[Record]) -> list[str]:
    return [
        "### Speed and memory",
        "All threads, nothing else running, from lines to picture without reading and writing files; 1 painting + "
        "memory frames (1 by default).",
        markdown_table(
            ["size", "paintings", "s before the first", "s per drawing", "peak memory, GiB"],
            [
                [r["size"], r["memory"], f"{r['loading']:.2f}", f"{r['drawing']:.2f}", f"{r['peak']:.2f}"]
                for r in records
            ],
            left=2,
        ),
    ]


# -- what was aimed at ---------------------------------------------------------------------------------------------


def _aims(parts: dict[str, list[Record]]) -> list[str]:
    """The targets set before the first training, and what was reached."""

    def mean(part: str, figure: str, **wanted: object) -> float:
        some = [r for r in parts.get(part, []) if all(r[key] == value for key, value in wanted.items())]
        weights = [r["total"] for r in some] if part == "segments" else None
        return mean_and_error([r[figure] for r in some], weights)[0]

    def psnr(lines: str, distance: int) -> float:
        return mean("quality", "psnr", lines=lines, distance=distance, method="matcher", references=1)

    copied = mean("quality", "psnr", distance=15, method=NAMES["copy"])
    below = [psnr("soft", d) - psnr("binary", d) for d in (15, 45, 60)]
    exact = mean("segments", "right", lines="clean", distance=15, method="matcher, `--flat`")
    quick, large, peak = (
        mean("speed", figure, size=size, memory="1 + 1")
        for figure, size in (("drawing", "576x320"), ("drawing", "1920x1080"), ("peak", "1920x1080"))
    )
    rows = [
        ("gain over copying at 15 frames, clean lines", "8 dB", f"{psnr('clean', 15) - copied:.1f} dB"),
        ("the same, extracted lines", "8 dB", f"{psnr('soft', 15) - copied:.1f} dB"),
        (
            "loss of binary lines against extracted ones, largest of 15, 45, 60 frames",
            "1 dB",
            f"{round(max(below), 1) + 0.0:.1f} dB",
        ),
        ("segments exactly right at 15 frames, `--flat`, clean lines", "0.85", f"{exact:.2f}"),
        ("a drawing of 576x320, with memory frames", "0.3 s", f"{quick:.2f} s"),
        ("a drawing of 1920x1080", "2 s, 3 GiB", f"{large:.2f} s, {peak:.1f} GiB"),
    ]
    measured = [row for row in rows if "nan" not in row[2]]
    if not measured:
        return []
    return ["### Targets", markdown_table(["", "target", "reached"], measured)]
