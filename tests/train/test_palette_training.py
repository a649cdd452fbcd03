"""Training the small palette video model at toy size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from celpaint.conditions.palette.files import read_palette
from celpaint.conditions.palette.transfer import histogram_transfer, luma_mapped
from celpaint.conditions.palette.value import Palette
from celpaint.models.line_vae import LineVAEConfig
from celpaint.models.palette.small import SmallPaletteModel, denoised, draft, luma, with_luma
from celpaint.models.palette.unet import PaletteConfig
from celpaint.train import run
from celpaint.train.engine.recipe import load_recipe
from celpaint.train.engine.task import build_task
from celpaint.train.tasks.clip_palettes import clip_palettes, jittered, k_means, vectors
from celpaint.train.tasks.objective import noised
from celpaint.weights.store import load_network, read_config, read_tensors

SMOKE = Path("palette_small_smoke")
TOY = ("data.size=[32,48]", "data.clips=2", "data.prefetch=0", "task.validation_clips=1")
PALETTE = read_palette("#102040,#804020,#60a040,#c0a0ff,#fff0c0")


def test_loss_reaches_every_trained_tensor() -> None:
    torch.manual_seed(0)
    task = build_task(load_recipe(SMOKE, TOY), torch.device("cpu"))
    optimizer = torch.optim.SGD(task.network.parameters(), lr=0.1)
    batches = task.batches(0, 0)
    for _ in range(3):  # layers that are zero at first pass nothing on in the first step
        optimizer.zero_grad()
        loss, figures = task.loss(next(batches))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert {"v", "kl", "answer", "rebuilt"} <= figures.keys()
    silent = {name for name, p in task.network.named_parameters() if p.grad is None or not p.grad.any()}
    # with one context token queries, keys and norm of cross-attention decide nothing
    assert all("attn2" in name or "norm2" in name or name.endswith(("null", "nothing")) for name in silent), silent


def test_a_run_exports_parts_that_load_and_color_a_clip(tmp_path: Path) -> None:
    out = run(SMOKE, [*TOY, "schedule.steps=2", "schedule.by=steps"], None, tmp_path)
    assert out.step == 2
    folder = tmp_path / "export"
    model = SmallPaletteModel(
        PaletteConfig.from_dict(read_config(folder / "unet")), LineVAEConfig.from_dict(read_config(folder / "line_vae"))
    )
    for name, part in model.named_children():
        load_network(part, read_tensors(folder / name), source=folder)
    gray = torch.rand(1, 3, 1, 16, 24)
    vector = torch.from_numpy(PALETTE.vector())[None]
    picture = model.float().decode(model.condition(gray, vector), gray)
    assert picture.shape == (1, 3, 3, 16, 24)
    torch.testing.assert_close(luma(picture), gray, atol=1e-5, rtol=0)


def test_an_untrained_network_predicts_nothing_beside_the_draft() -> None:
    task = build_task(load_recipe(SMOKE, TOY), torch.device("cpu"))
    x = torch.randn(1, 3, 8, 4, 6)
    v = task.network(x, torch.randn_like(x), torch.zeros(1), torch.zeros(1, 3), torch.zeros(1, 15))
    assert not v.any()


def test_validation_is_repeatable_and_stands_beside_the_baselines() -> None:
    task = build_task(load_recipe(SMOKE, TOY), torch.device("cpu"))
    figures = task.validate(task.network.eval())
    assert {
        "psnr",
        "chroma",
        "flicker",
        "colorfulness",
        "to_palette",
        "to_picture",
        "other_to_palette",
    } <= figures.keys()
    assert figures == task.validate(task.network)
    assert figures["luma_mapped_psnr"] > 15


# --------------------------------------------------------------------------------------------------------- the pieces


def test_the_true_v_denoises_to_the_clean_latents() -> None:
    latents, noise = torch.randn(2, 3, 4, 2, 2), torch.randn(2, 3, 4, 2, 2)
    sigma = torch.tensor([0.5, 20.0])
    given = noised(latents, sigma, noise)
    torch.testing.assert_close(denoised(given.x, sigma, given.v), latents, atol=1e-4, rtol=0)


def test_the_draft_is_the_luma_mapping_of_the_palette() -> None:
    gray = np.linspace(0.15, 0.9, 32, dtype=np.float32).reshape(4, 8)
    made = draft(torch.from_numpy(gray)[None, None, None], torch.from_numpy(PALETTE.vector())[None])
    found = made[0, 0].permute(1, 2, 0).numpy()
    wanted = luma_mapped(gray, PALETTE)
    inside = np.isclose(found @ np.array([0.299, 0.587, 0.114], np.float32), gray, atol=1e-5)  # not clamped
    assert inside.mean() > 0.5
    np.testing.assert_allclose(found[inside], wanted[inside], atol=1e-5)


def test_a_gray_value_of_the_palette_gets_its_color() -> None:
    rgb = PALETTE.rgb
    levels = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    np.testing.assert_allclose(luma_mapped(levels, PALETTE), rgb, atol=1e-5)


def test_histogram_transfer_finds_the_colors_of_the_same_picture_again() -> None:
    rng = np.random.default_rng(0)
    colors = np.array([[0.1, 0.1, 0.4], [0.6, 0.3, 0.1], [0.5, 0.9, 0.6]], np.float32)
    picture = colors[np.sort(rng.integers(0, 3, 4096))].reshape(64, 64, 3)
    gray = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    found = histogram_transfer(gray, picture)
    assert np.abs(found - picture).mean() < 0.02


def test_dropped_palettes_leave_the_draft_gray() -> None:
    gray = torch.rand(2, 1, 1, 4, 4)
    vector = torch.from_numpy(PALETTE.vector())[None].expand(2, -1)
    made = draft(gray, vector, torch.tensor([True, False]))
    torch.testing.assert_close(made[0], gray[0].expand(-1, 3, -1, -1))
    assert not torch.allclose(made[1], gray[1].expand(-1, 3, -1, -1), atol=0.02)


def test_chroma_on_another_luma() -> None:
    rgb = torch.tensor([0.5, 0.25, 0.0]).reshape(3, 1, 1)  # luma 0.1495 + 0.14675 = 0.29625
    found = with_luma(rgb, torch.full((1, 1, 1), 0.39625))
    torch.testing.assert_close(found.flatten(), torch.tensor([0.6, 0.35, 0.1]))


def test_k_means_finds_well_separated_groups() -> None:
    torch.manual_seed(0)
    centers = torch.tensor([[0.1, 0.1, 0.1], [0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [0.9, 0.9, 0.9]])
    points = (centers.repeat(40, 1) + 0.01 * torch.randn(200, 3))[None].repeat(3, 1, 1)
    for means in k_means(points, 5):
        torch.testing.assert_close(torch.cdist(centers, means).amin(1), torch.zeros(5), atol=0.01, rtol=0)


def test_k_means_of_fewer_points_than_clusters_is_finite() -> None:
    means = k_means(torch.full((1, 50, 3), 0.25), 5)
    torch.testing.assert_close(means, torch.full((1, 5, 3), 0.25))


def test_palettes_are_of_the_clip_s_own_colors_and_told_from_dark_to_light() -> None:
    torch.manual_seed(0)
    color = torch.rand(5, 3)[torch.randint(5, (2, 3, 16, 16))].permute(0, 1, 4, 2, 3)
    palettes = clip_palettes(color, 5, stride=1)
    assert torch.cdist(palettes.flatten(0, 1), color.permute(0, 1, 3, 4, 2).reshape(-1, 3)).amin(1).max() < 1e-3
    shown = vectors(palettes)[0]
    assert Palette.from_array(palettes[0].numpy()).vector() == pytest.approx(shown.numpy(), abs=1e-5)


def test_only_a_share_of_the_palettes_is_jittered() -> None:
    torch.manual_seed(0)
    palettes = torch.full((400, 5, 3), 0.5)
    changed = (jittered(palettes, 0.3) != palettes).any(dim=(1, 2)).float().mean()
    assert 0.2 < changed < 0.4
    assert torch.equal(jittered(palettes, 0.0), palettes)
