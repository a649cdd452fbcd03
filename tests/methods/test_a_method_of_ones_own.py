"""A method from one folder outside the package colors, resumes, benchmarks, lists and converts without a change."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import celpaint
import nearest
import nearest.run
from celpaint.benchmark import benchmark
from celpaint.cli.app import run
from celpaint.errors import OptionError
from celpaint.frames.read import open_clip
from celpaint.methods import registry
from celpaint.types import ColorHint, DrawingColored, Event


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_SPECS", dict(registry._SPECS))
    nearest.register()


@pytest.fixture
def weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Made by ``celpaint weights convert`` from a foreign checkpoint."""
    save_file({"foreign.tint": torch.tensor([1.0, 0.5, 0.25])}, tmp_path / "tint.safetensors")
    nearest.run.convert(tmp_path / "tint.safetensors", tmp_path / "weights", dtype="fp32", say=print)
    return tmp_path / "weights"


def test_it_colors(shot: tuple[Path, Path], weights: Path) -> None:
    full = list(celpaint.colorize(shot[0], reference=shot[1], method="nearest", weights=str(weights)))
    none = list(celpaint.colorize(shot[0], reference=shot[1], method="nearest", weights=str(weights), tint=0))
    assert len(full) == len(none) == 10
    sky = full[5].rgb[2, 2] / none[5].rgb[2, 2]
    np.testing.assert_allclose(sky, [1, 0.5, 0.25], rtol=1e-3)


def test_auto_takes_it_for_its_weights_options_and_conditions(weights: Path) -> None:
    own = {"weights": str(weights)}
    assert registry.method_name(registry.choose_method("auto", own)) == "nearest"
    assert registry.method_name(registry.choose_method("auto", {**own, "tint": 0.5})) == "nearest"
    hint = ColorHint(0, (1.0, 0.0, 0.0), (2.0, 2.0))
    given = registry.given_conditions(reference="key.png", hints=[hint])
    assert registry.method_name(registry.choose_method("auto", own, given)) == "nearest"
    with pytest.raises(OptionError) as error:
        registry.choose_method("nearest", {"tint": 2.0})
    assert error.value.wanted == "0 to 1"


class Stop(Exception):
    """Somebody pulls the plug."""


def test_it_resumes(shot: tuple[Path, Path], weights: Path, tmp_path: Path) -> None:
    options = {"reference": shot[1], "method": "nearest", "weights": str(weights)}

    def stop(event: Event, /) -> None:
        if isinstance(event, DrawingColored) and event.index == 8:
            raise Stop

    celpaint.render(shot[0], tmp_path / "whole", **options)
    with pytest.raises(Stop):
        celpaint.render(shot[0], tmp_path / "parts", progress=stop, **options)
    assert celpaint.render(shot[0], tmp_path / "parts", **options).resumed == 6
    for file in (tmp_path / "whole").iterdir():
        assert (tmp_path / "parts" / file.name).read_bytes() == file.read_bytes()


def test_its_weights_are_described_verified_and_listed(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "info", str(weights)]) == 0
    assert "weights of the method nearest" in capsys.readouterr().out
    assert run(["weights", "info", str(weights.parent / "tint.safetensors")]) == 0
    assert "a foreign tint" in capsys.readouterr().out
    for path in (weights, weights.parent / "tint.safetensors"):
        assert run(["weights", "verify", str(path)]) == 0
        assert "names and shapes" in capsys.readouterr().out
    assert run(["weights", "list", "--json"]) == 0
    assert "tint.safetensors" in {each["file"] for each in json.loads(capsys.readouterr().out)["published"]}


def test_it_is_benchmarked_with_its_ablation(shot: tuple[Path, Path], weights: Path, tmp_path: Path) -> None:
    suite = tmp_path / "suite.toml"
    suite.write_text(
        f"""
title = "Own"
metrics = ["psnr"]
protocol = "full"
[[clips]]
name = "ball"
lines = "{shot[0]}"
ground_truth = "{shot[0]}"
[[runs]]
name = "whole"
method = "nearest"
options = {{ weights = "{weights}" }}
[[runs]]
name = "untinted"
method = "nearest"
ablate = "tint"
options = {{ weights = "{weights}" }}
"""
    )
    done = benchmark(suite, tmp_path / "report", workers=1, device="cpu")
    assert [outcome.error for outcome in done.outcomes] == ["", ""]
    whole, untinted = (open_clip(outcome.frames)[5].rgb for outcome in done.outcomes)
    assert not np.array_equal(whole, untinted)


def test_the_command_line_has_its_options_and_its_converter(weights: Path, tmp_path: Path) -> None:
    """In a process of its own, as the commands are made when they are imported."""
    script = (
        f"import sys; sys.path.append({str(Path(nearest.__file__).parents[1])!r})\n"
        "import nearest; nearest.register()\n"
        "from celpaint.cli.app import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False, timeout=300
        )

    shown = command("colorize", "--help").stdout
    assert "--tint" in shown
    assert "0 to 1" in " ".join(shown.split())
    source = str(tmp_path / "tint.safetensors")
    converted = command("weights", "convert", "--tint", source, "--out", str(tmp_path / "converted"))
    assert converted.returncode == 0, converted.stderr
    assert (tmp_path / "converted" / "config.json").read_bytes() == (weights / "config.json").read_bytes()
