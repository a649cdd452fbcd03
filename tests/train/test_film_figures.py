"""The figures a training run ends with."""

from __future__ import annotations

from celpaint.train.film_figures import film_figures
from celpaint.weights.registry import find_weights


def test_packaged_matcher_beats_copying_on_film_like_shots() -> None:
    found = film_figures(find_weights("matcher", "small"), shots=2, frames=3, height=96, width=160)
    assert len({shot.name for shot in found}) == 2
    assert all(10 < shot.copy < 60 for shot in found)
    assert sum(shot.psnr - shot.copy for shot in found) > 0
