"""Training the line-aware autoencoder: it learns, keeps its units, goes on from an export."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from celpaint.data.prepare import prepare
from celpaint.errors import InputError, OptionError
from celpaint.frames.contact_sheet import GAP
from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.train.engine.command import run
from celpaint.train.engine.recipe import load_recipe
from celpaint.train.tasks.autoencoding import Autoencoding, gradient_l1
from celpaint.weights.store import load_network, read_config, read_tensors

SMOKE = Path("line_vae_smoke")
TINY = (
    "data.size=[32,48]",
    "data.frames=2",
    "network.widths=[6,8,12,16]",
    "task.validation_clips=1",
    "run.device=cpu",
    "data.prefetch=0",
)


def test_learns_and_goes_on_from_its_export(tmp_path: Path) -> None:
    first = run(
        SMOKE, [*TINY, "schedule.steps=40", "run.validate_every=4", "optimizer.ema_decay=0.8"], run_dir=tmp_path / "a"
    )
    assert first.best is not None
    out = tmp_path / "a/export"
    config = LineVAEConfig.from_dict(read_config(out))
    net = load_network(LineVAE(config), read_tensors(out), source=out)
    assert config.widths == (6, 8, 12, 16)
    assert net.scale.min() > 0
    assert not torch.equal(net.shift, torch.zeros_like(net.shift))

    recipe = load_recipe(SMOKE, [*TINY, f"init.weights={out}"])
    task = Autoencoding.build(recipe, torch.device("cpu"))
    assert all(p.requires_grad for p in task.network.parameters())
    fresh = Autoencoding.build(load_recipe(SMOKE, TINY), torch.device("cpu"))
    with torch.no_grad():
        assert task.validate(task.network)["psnr"] > fresh.validate(fresh.network)["psnr"] + 0.5


def test_prepared_films_train_as_synthetic_ones(tmp_path: Path) -> None:
    for number in range(12):
        picture = np.full((32, 48, 3), 200, np.uint8)
        cv2.circle(picture, (8 + 2 * number, 16), 6, (40, 60, 220), -1)
        (tmp_path / "film").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"film/f_{number:02d}.png"), picture)
    prepare([tmp_path / "film"], tmp_path / "films", size=(32, 48), shortest=4, processes=1)
    overrides = [*TINY, "data.source=prepared", f"data.path={tmp_path / 'films'}", "schedule.steps=2"]
    summary = run(SMOKE, overrides, run_dir=tmp_path / "run")
    assert summary.frames == 2 * 2 * 2
    assert summary.finished
    assert (tmp_path / "run/export/config.json").is_file()


def test_units_follow_the_latents() -> None:
    task = Autoencoding.build(load_recipe(SMOKE, [*TINY, "task.momentum=1.0"]), torch.device("cpu"))
    batch = next(task.batches(0, 0))
    torch.manual_seed(0)
    task.loss(batch)
    with torch.no_grad():
        mean = task.network.encode(2 * batch.color.flatten(0, 1) - 1).mean
    torch.testing.assert_close(mean.mean((0, 2, 3)), torch.zeros(8), atol=1e-3, rtol=0)
    torch.testing.assert_close(mean.std((0, 2, 3)), torch.ones(8), atol=1e-2, rtol=0)


def test_gradients_are_differences_of_neighbors() -> None:
    a = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert float(gradient_l1(a, torch.zeros(2, 2))) == 1.0
    assert float(gradient_l1(a, a + 0.3)) == pytest.approx(0.0, abs=1e-6)


def test_sheets_have_rows_of_four_pictures() -> None:
    task = Autoencoding.build(load_recipe(SMOKE, TINY), torch.device("cpu"))
    with torch.no_grad():
        assert task.sample_sheet(task.network).shape == (3 * 32 + 2 * GAP, 4 * 48 + 3 * GAP, 3)


def test_settings_that_can_not_be_are_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"task\.momentum is 0\.0"):
        run(SMOKE, [*TINY, "task.momentum=0.0"], run_dir=tmp_path)
    with pytest.raises(InputError, match="nothing"):
        run(SMOKE, [*TINY, "data.source=synthetic", "data.path=nothing"], run_dir=tmp_path)
