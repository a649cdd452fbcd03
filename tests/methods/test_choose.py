"""Which method it is, and with which options."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from celpaint.errors import OptionError, WeightsError
from celpaint.methods import registry
from celpaint.methods.lvcd.spec import LVCDOptions
from celpaint.methods.matcher.spec import MatcherOptions
from celpaint.methods.registry import choose_method, method_name
from celpaint.methods.spec import Extra, MethodSpec, Rank
from celpaint.options import ComputeOptions, option


@dataclass(frozen=True, kw_only=True)
class RivalOptions(ComputeOptions):
    """Of a method that beats all others on a GPU."""

    tries: int = option(1, "tries", ge=1)


RIVAL = MethodSpec(
    name="rival",
    title="Rival",
    options=RivalOptions,
    run="nowhere:Rival",
    ranks=(Rank(psnr=10, source="a test"), Rank(psnr=99, source="a test", devices=("cuda", "mps"))),
)
ABSENT = replace(RIVAL, extra=Extra("rival", "no_such_package"))


@pytest.fixture(params=["RIVAL"])
def rival(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._SPECS, "rival", f"{__name__}:{request.param}")
    monkeypatch.setattr("celpaint.device.resolve_device", torch.device)


def test_a_name_gives_its_options() -> None:
    assert choose_method("matcher", {"flat": "on", "seed": 3}) == MatcherOptions(flat="on", seed=3)
    assert choose_method("lvcd", {"steps": 7}) == LVCDOptions(steps=7)
    assert method_name(LVCDOptions()) == "lvcd"


def test_options_are_filled_in() -> None:
    assert choose_method(MatcherOptions(flat="on"), {"seed": 3}) == MatcherOptions(flat="on", seed=3)


def test_a_size_may_be_text() -> None:
    assert choose_method("matcher", {"size": "576x320"}) == MatcherOptions(size=(320, 576))
    assert choose_method(MatcherOptions(), {"size": "576x320"}) == MatcherOptions(size=(320, 576))


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_auto_is_the_matcher_on_every_device(device: str) -> None:
    assert choose_method("auto", {"device": device}) == MatcherOptions(device=device)


@pytest.mark.usefixtures("rival")
@pytest.mark.parametrize(
    ("device", "expected"), [("cpu", MatcherOptions), ("cuda", RivalOptions), ("mps", RivalOptions)]
)
def test_auto_takes_the_highest_rank_that_holds_on_the_device(device: str, expected: type) -> None:
    assert choose_method("auto", {"device": device}) == expected(device=device)


@pytest.mark.usefixtures("rival")
@pytest.mark.parametrize("rival", ["ABSENT"], indirect=True)
def test_auto_leaves_out_methods_whose_packages_are_missing() -> None:
    assert choose_method("auto", {"device": "cuda"}) == MatcherOptions(device="cuda")


def test_auto_goes_by_options_that_one_method_alone_has() -> None:
    assert choose_method("auto", {"steps": 3, "device": "cpu"}) == LVCDOptions(steps=3, device="cpu")
    assert choose_method("auto", {"flat": "on"}) == MatcherOptions(flat="on")


def test_auto_goes_by_the_weights_given(tmp_path: Path) -> None:
    (tmp_path / "lvcd" / "controlnet").mkdir(parents=True)
    (tmp_path / "matcher").mkdir()
    (tmp_path / "matcher" / "config.json").write_text('{"fine_key": 8}')
    (tmp_path / "other").mkdir()
    assert isinstance(choose_method("auto", {"weights": str(tmp_path / "lvcd")}), LVCDOptions)
    assert isinstance(choose_method("auto", {"weights": str(tmp_path / "matcher")}), MatcherOptions)
    assert isinstance(choose_method("auto", {"weights": "lvcd/small"}), LVCDOptions)
    with pytest.raises(WeightsError, match="nowhere"):
        choose_method("auto", {"weights": str(tmp_path / "nowhere")})
    with pytest.raises(WeightsError) as error:
        choose_method("auto", {"weights": str(tmp_path / "other")})
    assert "no weights that a method" in error.value.seen


def test_strays_name_their_owner() -> None:
    with pytest.raises(OptionError) as error:
        choose_method("auto", {"steps": 3, "flat": "on", "device": "cpu"})
    assert error.value.seen.startswith("--steps is an option of the methods lvcd, palette and colorize-diffusion")
    assert "--method auto" in error.value.seen
    with pytest.raises(OptionError) as error:
        choose_method("matcher", {"flaat": True})
    assert (error.value.seen, error.value.wanted) == ("there is no option 'flaat'", "'flat'")
    with pytest.raises(OptionError) as error:
        choose_method("best", {})
    assert (error.value.seen, error.value.wanted.startswith("auto, ")) == ("--method is 'best'", True)
