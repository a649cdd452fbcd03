"""The matcher's parts, taken away one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_matcher import all_painted, matcher, shot, weights  # noqa: F401

from celpaint.methods.matcher.ablations import WithoutDetail
from celpaint.methods.matcher.run import Matcher
from celpaint.methods.matcher.spec import SPEC, MatcherOptions
from celpaint.types import Array, Shot
from celpaint.weights.kinds import load_object


def without(part: str, folder: Path, **options: object) -> Matcher:
    method = load_object(SPEC.ablations[part]).load(MatcherOptions(weights=str(folder), device="cpu", **options))  # type: ignore[arg-type]
    assert isinstance(method, Matcher)
    return method


def last_colored(method: Matcher, of: Shot) -> Array:
    return [painted.rgb for painted in all_painted(method, of)][-2]


@pytest.mark.parametrize("part", sorted(SPEC.ablations))
def test_a_matcher_without_a_part_colors_the_shot_otherwise(part: str, weights: Path) -> None:  # noqa: F811
    some = shot(96, 128) if part == "detail network" else shot()
    options: dict[str, object] = {"flat": "off"}
    if part == "detail network":
        options["max_tokens"] = 64
    plain, ablated = matcher(weights, **options), without(part, weights, **options)
    whole, less = last_colored(plain, some), last_colored(ablated, some)
    assert less.shape == whole.shape
    assert np.abs(less - whole).max() > 1e-3


def test_without_smoothing_it_is_never_asked_for(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def refuse(*_: object) -> Array:
        raise AssertionError("smoothed")

    monkeypatch.setattr("celpaint.methods.matcher.run.calm", refuse)
    last_colored(without("smoothing of unsure regions", weights), shot())
    with pytest.raises(AssertionError, match="smoothed"):
        last_colored(matcher(weights), shot())


def test_without_detail_colors_are_interpolated(weights: Path) -> None:  # noqa: F811
    method = without("detail network", weights)
    assert isinstance(method, WithoutDetail)
    small = torch.tensor([[[[0.0, 1.0]]]])
    wide = method.network.detail(small, small, torch.zeros(1, 1, 1, 4))
    assert wide.flatten().tolist() == [0.0, 0.25, 0.75, 1.0]
