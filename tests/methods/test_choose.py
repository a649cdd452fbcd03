"""Which method it is, and with which options."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from celpaint.errors import OptionError, WeightsError
from celpaint.methods.choose import choose_method, method_name
from celpaint.methods.options import LVCDOptions, MatcherOptions


def test_a_name_gives_its_options() -> None:
    assert choose_method("matcher", {"exact": True, "seed": 3}) == MatcherOptions(exact=True, seed=3)
    assert choose_method("lvcd", {"steps": 7}) == LVCDOptions(steps=7)
    assert method_name(LVCDOptions()) == "lvcd"


def test_options_are_filled_in() -> None:
    assert choose_method(MatcherOptions(exact=True), {"seed": 3}) == MatcherOptions(exact=True, seed=3)


@pytest.mark.parametrize(
    ("device", "extra", "expected"),
    [
        ("cpu", True, MatcherOptions),
        ("cuda", True, LVCDOptions),
        ("mps", True, LVCDOptions),
        ("cuda", False, MatcherOptions),
    ],
)
def test_auto_without_weights_goes_by_the_device(
    monkeypatch: pytest.MonkeyPatch, device: str, extra: bool, expected: type
) -> None:
    monkeypatch.setattr("celpaint.device.resolve_device", torch.device)
    monkeypatch.setattr("celpaint.methods.choose.find_spec", lambda name: name if extra else None)
    assert choose_method("auto", {"device": device}) == expected(device=device)


def test_auto_goes_by_options_that_one_method_alone_has() -> None:
    assert choose_method("auto", {"steps": 3, "device": "cpu"}) == LVCDOptions(steps=3, device="cpu")
    assert choose_method("auto", {"exact": True}) == MatcherOptions(exact=True)


def test_auto_goes_by_the_weights_given(tmp_path: Path) -> None:
    (tmp_path / "lvcd" / "unet").mkdir(parents=True)
    (tmp_path / "matcher").mkdir()
    assert isinstance(choose_method("auto", {"weights": str(tmp_path / "lvcd")}), LVCDOptions)
    assert isinstance(choose_method("auto", {"weights": str(tmp_path / "matcher")}), MatcherOptions)
    with pytest.raises(WeightsError, match="nowhere"):
        choose_method("auto", {"weights": str(tmp_path / "nowhere")})


def test_strays_name_their_owner() -> None:
    with pytest.raises(
        OptionError, match=r"--steps is an option of the method lvcd.*\(chosen by itself: --method auto\)"
    ):
        choose_method("auto", {"steps": 3, "exact": True, "device": "cpu"})
    with pytest.raises(OptionError, match="there is no option 'exacct'; wanted 'exact'"):
        choose_method("matcher", {"exacct": True})
    with pytest.raises(OptionError, match="--method is 'best'; wanted auto, lvcd or matcher"):
        choose_method("best", {})
