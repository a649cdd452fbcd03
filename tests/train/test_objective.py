"""The objective: the v-form is the EDM-weighted loss; labels and cross-entropy on films whose truth is known."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from celpaint.data.clips import ClipBatch
from celpaint.sampling.sigmas import v_scaling
from celpaint.train.tasks.matching import Labels
from celpaint.train.tasks.objective import draw_sigma, grid, match_labels, matching_loss, noised, v_loss


@settings(max_examples=20, deadline=None)
@given(level=st.floats(-4, 6), seed=st.integers(0, 99))
def test_the_v_form_is_the_weighted_error_of_the_denoiser(level: float, seed: int) -> None:
    torch.manual_seed(seed)
    sigma = math.exp(level)
    z, n, answer = (torch.randn(1, 3, 2, 4, 4, dtype=torch.float64) for _ in range(3))
    given = noised(z, torch.tensor([sigma], dtype=torch.float64), n)
    scaling = v_scaling(sigma)
    x = z + sigma * n
    torch.testing.assert_close(given.x, scaling.inner * x)
    assert float(given.c_noise) == pytest.approx(scaling.noise)
    denoised = scaling.skip * x + scaling.out * answer
    weighted = (sigma**2 + 1) / sigma**2 * (denoised - z).square().mean()
    torch.testing.assert_close((answer - given.v).square().mean(), weighted)
    # the exact answer leads back to the clean latents
    torch.testing.assert_close(scaling.skip * x + scaling.out * given.v, z)


def test_the_reference_counts_in_the_loss() -> None:
    v = torch.zeros(2, 15, 1, 2, 2)
    answer = v.clone()
    answer[:, 0] = 1
    assert float(v_loss(answer, v)) == pytest.approx(1 / 15)


def test_noise_levels_are_lognormal_one_a_clip() -> None:
    torch.manual_seed(0)
    logs = draw_sigma(20_000, torch.device("cpu")).log()
    assert logs.shape == (20_000,)
    assert float(logs.mean()) == pytest.approx(1.0, abs=0.05)
    assert float(logs.std()) == pytest.approx(1.6, abs=0.05)


def test_levels_of_the_network() -> None:
    assert grid((24, 40), 960) == (24, 40)
    assert grid((24, 40), 240) == (12, 20)
    assert grid((5, 7), 12) == (3, 4)
    with pytest.raises(ValueError, match="no level"):
        grid((24, 40), 100)


def shifted(by: int, size: tuple[int, int] = (16, 32)) -> ClipBatch:
    """Two frames of one wide drawing; the second shows what lies ``by`` pixels further right."""
    height, width = size
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / height, indexing="ij")
    point = torch.stack([torch.stack([x + shift / height, y]) for shift in (0, by)])[None]
    drawing = torch.ones(1, 2, height, width, dtype=torch.long)
    blank = torch.zeros(1, 2, 1, height, width)
    return ClipBatch(blank.expand(-1, -1, 3, -1, -1), blank, torch.tensor([[0.0, 1.0]]), drawing, point)


def test_labels_follow_the_motion() -> None:
    labels = match_labels(shifted(8), (2, 4))  # tokens of 8 pixels, moved by one
    assert labels.positive.shape == (1, 1, 8, 8)
    nearest = labels.positive[0, 0].int().argmax(-1).tolist()
    assert [nearest[i] for i in (0, 1, 2, 4, 5, 6)] == [1, 2, 3, 5, 6, 7]
    assert labels.matchable.all()  # the last column's match lies one token outside, which is near enough
    still = match_labels(shifted(0), (2, 4))
    assert torch.equal(still.positive[0, 0].int().argmax(-1), torch.arange(8))
    with pytest.raises(ValueError, match="not known"):
        match_labels(ClipBatch(*(getattr(shifted(0), n) for n in ("color", "lines", "times"))), (2, 4))


def test_cross_entropy_counts_what_can_be_found() -> None:
    right = torch.zeros(1, 1, 3, 4, dtype=torch.bool)
    right[0, 0, 0, 1] = right[0, 0, 1, 2] = right[0, 0, 1, 3] = True
    found = torch.tensor([[[True, True, False]]])
    labels = Labels(right, found, ~found)
    logits = torch.zeros(1, 1, 3, 4)
    loss, accuracy = matching_loss(logits, labels)
    assert float(loss) == pytest.approx((math.log(4) + math.log(2)) / 2)
    logits[0, 0, 0, 1] = logits[0, 0, 1, 3] = 30.0
    loss, accuracy = matching_loss(logits, labels)
    assert float(loss) == pytest.approx(0, abs=1e-5)
    assert float(accuracy) == 1
    logits[0, 0, 1, 0] = 40.0
    assert float(matching_loss(logits, labels)[1]) == 0.5
    nothing = Labels(right, found & False, found)
    assert float(matching_loss(logits, nothing)[0]) == 0
