"""Figures of the palette method on held-out films turned gray: which palette, and how windows are fused.

The rows of the first table are those of Wang et al. 2025, table II, and what has to be beaten: coloring by luma alone,
and every frame by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from celpaint.benchmark.study import StudySettings, conditions, picture_scores, require_art
from celpaint.benchmark.tables import Record, cell, markdown_table
from celpaint.conditions.luminance import luminance
from celpaint.conditions.palette.extraction import extract_gmm, extract_kmeans
from celpaint.conditions.palette.matching import palette_distance
from celpaint.conditions.palette.transfer import histogram_transfer, luma_mapped
from celpaint.conditions.palette.value import Palette
from celpaint.data.film import FilmSpec, FilmSynthesizer, load_banks
from celpaint.frames.contact_sheet import SheetRow, contact_sheet
from celpaint.frames.oklab import srgb_to_oklab
from celpaint.methods.palette.run import PaletteMethod
from celpaint.methods.palette.spec import SPEC, PaletteOptions
from celpaint.metrics.frame import colorfulness, ssim
from celpaint.types import Array, Frame, Shot
from celpaint.weights.store import sha256

__all__ = ["Film", "drift", "figures", "validate_palette"]

COLUMNS = (
    ("psnr", "PSNR", 2),
    ("ssim", "SSIM", 4),
    ("lpips", "LPIPS", 4),
    ("colorfulness", "colorful", 1),
    ("chroma", "chroma error", 4),
    ("flicker", "flicker", 4),
    ("to_palette", "to palette", 4),
    ("to_picture", "to picture", 4),
)
"""Key, heading and digits."""

SEED = 2_000_000
"""Of the first film; training's validation has others."""


@dataclass(frozen=True, eq=False)
class Film:
    """A clip and what is known of it.

    Attributes:
        truth: ``T H W 3`` in [0, 1].
    """

    truth: Array

    @cached_property
    def gray(self) -> list[Array]:
        return [np.ascontiguousarray(luminance(frame)) for frame in self.truth]

    @cached_property
    def palette(self) -> Palette:
        """Of the first frame."""
        return extract_kmeans([Frame(self.truth[0])])

    def shot(self, palette: Palette | None) -> Shot:
        colors = () if palette is None else palette.colors
        size = (self.truth.shape[1], self.truth.shape[2])
        return Shot(lines=self.gray, references=(), size=size, gray=self.gray, palette=colors)


def figures(made: Array, film: Film) -> Record:
    """Means over the frames; ``chroma`` and ``flicker`` in OKLab's a and b: the error, and how much it changes from
    frame to frame; ``to_palette``, ``to_picture``: distances from the palette of the first frame."""
    error = srgb_to_oklab(made)[..., 1:] - srgb_to_oklab(film.truth)[..., 1:]
    scores = [picture_scores(a, b) for a, b in zip(made, film.truth, strict=True)]
    distance = palette_distance(made[:, ::4, ::4], film.palette)
    return {
        "psnr": float(np.mean([score["psnr"] for score in scores])),
        "lpips": float(np.mean([score["lpips"] for score in scores])),
        "ssim": float(np.mean([ssim(a, b) for a, b in zip(made, film.truth, strict=True)])),
        "colorfulness": float(np.mean([colorfulness(frame) for frame in made])),
        "chroma": float(np.linalg.norm(error, axis=-1).mean()),
        "flicker": float(np.linalg.norm(np.diff(error, axis=0), axis=-1).mean()),
        "to_palette": distance.to_palette,
        "to_picture": distance.to_picture,
    }


def drift(made: Array, truth: Array, window: int) -> float:
    """How far the mean color error of the last frames is from that of the first, ``window`` of each, in OKLab."""
    error = (srgb_to_oklab(made) - srgb_to_oklab(truth)).mean((1, 2))
    return float(np.linalg.norm(error[-window:].mean(0) - error[:window].mean(0)))


def validate_palette(settings: StudySettings, *, frames: int = 24) -> tuple[str, npt.NDArray[np.uint8]]:
    """Measure.

    Args:
        settings: how.
        frames: of a film.

    Returns:
        the tables in Markdown, and a sheet with rows of gray, results and truth.

    Raises:
        InputError: there are no drawings.
        WeightsError: there are no weights.
    """
    require_art(settings.art)
    films = _films(settings, frames)
    method = PaletteMethod.load(
        PaletteOptions(weights=settings.weights, device=settings.device, dtype=settings.dtype)  # type: ignore[arg-type]
    )
    options = method.options
    ways: dict[str, Callable[[Film], Array]] = {
        "luma mapped to the palette": lambda film: np.stack([luma_mapped(gray, film.palette) for gray in film.gray]),
        "histogram transfer from the first frame": lambda film: np.stack(
            [histogram_transfer(gray, film.truth[0]) for gray in film.gray]
        ),
        "every frame by itself": lambda film: _color(method, film, film.palette, window=1, overlap=0),
        "no palette": lambda film: _color(method, film, None),
        "palette of a mixture (GMM)": lambda film: _color(method, film, extract_gmm(_several(film))),
        "palette of the whole film": lambda film: _color(method, film, extract_kmeans(_several(film))),
        "palette of the first frame": lambda film: _color(method, film, film.palette),
        "truth": lambda film: film.truth,
    }
    made = {name: [way(film) for film in films] for name, way in ways.items()}
    rows = {name: [figures(x, film) for x, film in zip(results, films, strict=True)] for name, results in made.items()}
    colored = markdown_table(
        ["", *(heading for _, heading, _ in COLUMNS)],
        [[name, *(cell(records, key, digits) for key, _, digits in COLUMNS)] for name, records in rows.items()],
    )
    windows: list[tuple[str, dict[str, Any]]] = [
        ("fused at every step", {}),
        ("fused at the end, 4 steps", {"fusion": "final", "steps": 4}),
        ("fused at every step, 4 steps", {"steps": 4}),
        ("windows without overlap", {"overlap": 0}),
    ]
    fusion = markdown_table(
        ["", "PSNR", "flicker", "drift"],
        [[name, *_fusion(method, films, options.window, changes)] for name, changes in windows],
    )
    about = conditions(
        settings,
        f"{settings.films} films of {frames} frames, {settings.size[1]}x{settings.size[0]}.",
        sha256(SPEC.weight_files(options)[0])[:12],
        str(method.dtype).removeprefix("torch."),
        "one process",
    )
    return f"{colored}\n\n{fusion}\n\n{about}\n", _sheet(films, made)


def _films(settings: StudySettings, frames: int) -> list[Film]:
    height, width = settings.size
    spec = FilmSpec(height=height, width=width, frames=frames, distance=(1, 1))
    maker = FilmSynthesizer(load_banks(settings.art, "cpu")[1], spec)
    clips = (maker.batch(SEED + number, 1).color[0] for number in range(settings.films))
    return [Film(clip.permute(0, 2, 3, 1).numpy()) for clip in clips]


def _several(film: Film) -> list[Frame]:
    return [Frame(frame) for frame in film.truth]


def _color(method: PaletteMethod, film: Film, palette: Palette | None, **changes: Any) -> Array:
    """``T H W 3``."""
    changed = PaletteMethod(method.network, replace(method.options, **changes), method.device, method.dtype)
    return np.stack([painted.rgb for chunk in changed.color(film.shot(palette)) for painted in chunk.painted])


def _fusion(method: PaletteMethod, films: Sequence[Film], window: int, changes: dict[str, Any]) -> list[str]:
    records: list[Record] = []
    for film in films:
        made = _color(method, film, film.palette, **changes)
        records.append({**figures(made, film), "drift": drift(made, film.truth, window)})
    return [cell(records, key, digits) for key, digits in (("psnr", 2), ("flicker", 5), ("drift", 5))]


def _sheet(films: Sequence[Film], made: dict[str, list[Array]]) -> npt.NDArray[np.uint8]:
    """A row a film: its last frame in gray, luma mapped, with its own palette, and as it was."""
    shown = ("luma mapped to the palette", "palette of the first frame", "truth")
    return contact_sheet(
        [
            SheetRow([np.repeat(film.gray[-1][..., None], 3, -1), *(made[name][number][-1] for name in shown)])
            for number, film in enumerate(films)
        ]
    )
