"""Painted pictures moved onto a drawing."""

from __future__ import annotations

import numpy as np
import torch

from celpaint.methods.matcher.alignment import Sketch, Source, align, enlarge
from celpaint.types import Array


def square(at: int, size: int = 96) -> tuple[Array, Array]:
    """A square drawn and painted."""
    line, rgb = np.zeros((size, size), np.float32), np.full((size, size, 3), 0.9, np.float32)
    line[at : at + 40, at : at + 40] = 1
    line[at + 2 : at + 38, at + 2 : at + 38] = 0
    rgb[at : at + 40, at : at + 40] = (0.8, 0.2, 0.1)
    return line, rgb


def source(at: int, trust: float = 1.0) -> Source:
    line, rgb = square(at)
    return Source(Sketch.of(line), rgb, np.full(line.shape, trust, np.float32))


def test_every_source_comes_along_with_its_lines_and_trust() -> None:
    line, rgb = square(30)
    aligned = align(Sketch.of(line), [source(30), source(27, 0.4)])
    assert [tuple(x.shape) for x in (aligned.rgb, aligned.lines, aligned.trust, aligned.flow)] == [
        (4, channels, 96, 96) for channels in (3, 1, 1, 2)
    ]
    assert aligned.outline.shape == (4, 1, 96, 96)
    for k in (0, 1):  # the same drawing: as it is, and moved nowhere
        np.testing.assert_array_equal(aligned.rgb[k].permute(1, 2, 0).numpy(), rgb)
        np.testing.assert_array_equal(aligned.lines[k, 0].numpy(), line)
        assert float(aligned.flow[k].abs().max()) == 0
    np.testing.assert_array_equal(aligned.rgb[2].permute(1, 2, 0).numpy(), square(27)[1])
    assert torch.allclose(aligned.trust[2:], torch.tensor(0.4))
    middle = aligned.rgb[3, :, 36:64, 36:64].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(middle, rgb[36:64, 36:64], atol=1e-6)
    assert float(aligned.flow[3, :, 36:64, 36:64].mean()) < -1.5


def test_a_region_is_known_by_its_outline() -> None:
    here, there = np.zeros((96, 96), np.float32), square(30)[0]
    here[10:80, 5] = 1
    outline = align(Sketch.of(here), [source(30)]).outline[0, 0]
    assert float(outline[40:60, 40:60].max()) == 0
    both = align(Sketch.of(np.maximum(here, there)), [source(30)]).outline[0, 0]
    assert float(both.min()) == 1
    blank = np.zeros((96, 96), np.float32)
    empty = Source(Sketch.of(blank), square(30)[1], np.ones_like(blank))
    assert float(align(Sketch.of(here), [empty]).outline.min()) == 1


def test_order_does_not_matter() -> None:
    sketch = Sketch.of(square(30)[0])
    a, b = align(sketch, [source(28), source(33)]), align(sketch, [source(33), source(28)])
    torch.testing.assert_close(a.rgb, b.rgb[[2, 3, 0, 1]], atol=0, rtol=0)


def test_what_is_all_of_a_painted_picture_has_its_detail_at_the_shots_size() -> None:
    line, rgb = square(30)
    whole = np.kron(rgb, np.ones((2, 2, 1), np.float32)) * np.random.default_rng(0).uniform(0.5, 1, (192, 192, 1))
    whole = whole.astype(np.float32)
    painted = Source(Sketch.of(line), rgb, np.ones_like(line), whole)
    guessed = source(30)
    aligned = align(painted.sketch, [painted, guessed])
    blurred = np.full((192, 192, 3), 0.5, np.float32)
    share = torch.zeros(4, 1, 96, 96)
    np.testing.assert_array_equal(enlarge(blurred, aligned, share, [painted, guessed]), blurred)
    share[3] = 1  # nothing is known of the other one at that size
    np.testing.assert_array_equal(enlarge(blurred, aligned, share, [painted, guessed]), blurred)
    for k in (0, 1):
        share = torch.zeros(4, 1, 96, 96)
        share[k] = 1
        np.testing.assert_allclose(enlarge(blurred, aligned, share, [painted, guessed]), whole, atol=1e-6)
