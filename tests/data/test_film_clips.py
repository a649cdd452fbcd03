"""Film-like clips: what is known of them is true, and the same seed gives the same clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from celpaint.data.clips import ClipBatch
from celpaint.data.film import Bank, FilmSpec, FilmSynthesizer, plan
from celpaint.data.film.parts import ORDER, Build, pose
from celpaint.data.synthetic.art import toy_art


@pytest.fixture(scope="module")
def bank() -> Bank:
    return Bank.make(toy_art(drawings=24, size=128), "cpu", size=128, figures=4, sets=3, set_height=96)


SMALL = FilmSpec(height=64, width=96, frames=3, distance=(4, 8), figures=1.0)


@pytest.fixture(scope="module")
def clips(bank: Bank) -> ClipBatch:
    return FilmSynthesizer(bank, SMALL).batch(3, 4)


def test_shapes_and_ranges(clips: ClipBatch) -> None:
    assert clips.color.shape == (4, 3, 3, 64, 96)
    assert clips.lines.shape == (4, 3, 1, 64, 96)
    for maps in (clips.color, clips.lines):
        assert float(maps.min()) >= 0
        assert float(maps.max()) <= 1
    assert 0.005 < float(clips.lines.mean()) < 0.4
    assert clips.point is not None
    assert clips.point.isfinite().all()
    assert (clips.times[:, 0] == 0).all()
    assert (clips.times[:, 1] >= 4).all()
    assert (clips.times[:, 1] <= 8).all()


def test_same_seed_gives_the_same_clips(bank: Bank, clips: ClipBatch) -> None:
    again, other = FilmSynthesizer(bank, SMALL).batch(3, 4), FilmSynthesizer(bank, SMALL).batch(4, 4)
    assert torch.equal(again.color, clips.color)
    assert torch.equal(again.lines, clips.lines)
    assert not torch.equal(other.color, clips.color)


def test_corresponding_pixels_have_the_same_color(bank: Bank) -> None:
    """Where two frames show nearly the same point of the same drawing, away from lines, the colors agree."""
    spec = FilmSpec(height=96, width=160, frames=2, distance=(5, 5), line_styles={"clean": 1.0}, grades=0.0)
    errors, others = [], []
    for seed in range(4):
        clip = FilmSynthesizer(bank, spec).batch(seed, 2)
        assert clip.drawing is not None
        assert clip.point is not None
        for b in range(2):
            grid = (slice(4, None, 8), slice(4, None, 8))
            drawing, point, color = clip.drawing[b], clip.point[b], clip.color[b]
            away = clip.lines[b, :, 0] < 0.02
            first = (point[0][:, *grid].flatten(1).T, drawing[0][grid].flatten(), color[0][:, *grid].flatten(1).T)
            second = (point[1].flatten(1).T, drawing[1].flatten(), color[1].flatten(1).T, away[1].flatten())
            apart = torch.cdist(first[0], second[0])
            apart = apart.masked_fill(first[1][:, None] != second[1][None], 9).masked_fill(~second[3], 9)
            near, which = apart.min(1)
            good = (near < 0.004) & away[0][grid].flatten()
            errors.append((first[2] - second[2][which]).abs().amax(1)[good])
            shuffled = second[2][which][torch.randperm(len(which), generator=torch.Generator().manual_seed(0))]
            others.append((first[2] - shuffled).abs().amax(1)[good])
    error, other = torch.cat(errors), torch.cat(others)
    assert len(error) > 300
    assert float(error.median()) < 0.01
    assert float(error.quantile(0.9)) < 0.08
    assert float(other.median()) > 0.1


def test_plan_is_independent_of_resolution(bank: Bank) -> None:
    """The same seed shows the same drawings in the same places at any size of the same shape."""
    small, large = (plan(bank, FilmSpec(height=h, width=2 * h, frames=3), 5, 2) for h in (48, 96))
    assert len(small.layers) == len(large.layers)
    for a, b in zip(small.layers, large.layers, strict=True):
        np.testing.assert_array_equal(a.cel, b.cel)
        np.testing.assert_array_equal(a.matrix, b.matrix)


def test_limbs_hang_together() -> None:
    """A forearm begins where its upper arm ends, a shin where its thigh ends, at any angle."""
    builds = [Build.random(np.random.default_rng(n)) for n in range(3)]
    rng = np.random.default_rng(0)
    joints = (
        "lean",
        "nod",
        "hair",
        "hem",
        *(f + j for f in ("", "far_") for j in ("shoulder", "elbow", "hip", "knee")),
    )
    table = Build.table(builds)
    placed = dict(zip(ORDER, pose(table, {j: rng.normal(0, 0.7, (3, 5)) for j in joints}), strict=True))

    def point(name: str, length: str, wide: float, end: float) -> np.ndarray:
        half = table[length] / 2 + 1.8 * wide * table["girth"]
        local = np.stack([0 * half, end * table[length] / 2 / half, 1 + 0 * half], -1)
        return np.einsum("btij,bj->bti", placed[name], local)[..., :2]

    for far in ("", "far_"):
        np.testing.assert_allclose(
            point(far + "arm", "upper_arm", 1.1, 1), point(far + "forearm", "forearm", 1.0, -1), atol=1e-9
        )
        np.testing.assert_allclose(
            point(far + "thigh", "thigh", 1.2 * 1.35, 1), point(far + "shin", "shin", 1.35, -1), atol=1e-9
        )
