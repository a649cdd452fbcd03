"""LVCD's training at toy size: what is trained, what stays, what is exported, and that it learns."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLTemporalDecoder
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from celpaint.data.prepared import LatentClipBatch
from celpaint.errors import OptionError, WeightsError
from celpaint.methods.lvcd.run import LVCD
from celpaint.methods.lvcd.spec import LVCDOptions
from celpaint.methods.lvcd.weights import Card, Networks
from celpaint.models.image_encoder import ClipEmbedding
from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.models.lvcd.controlnet import ControlNet
from celpaint.models.lvcd.unet import UNet
from celpaint.models.vae import VideoVAE
from celpaint.train.engine.command import export, run
from celpaint.train.engine.loop import train
from celpaint.train.engine.recipe import Recipe, load_recipe
from celpaint.train.engine.task import build_task
from celpaint.train.tasks.coloring import color_clips
from celpaint.train.tasks.diffusion import DiffusionFineTune, DiffusionSmall
from celpaint.weights.store import write_network
from toy import WITH_ATTENTION, WITHOUT, toy_config

CPU = torch.device("cpu")
SMALL = Path("lvcd_small_smoke")
SIZE = (
    "data.size=[32,48]",
    "data.frames=4",
    "data.clips=1",
    "data.prefetch=0",
    "run.device=cpu",
    "task.sampling_steps=1",
)
FINE = (
    *SIZE,
    "data.source=toy",
    "data.path=",
    "optimizer.gradient_accumulation_steps=1",
    "optimizer.lr=1e-2",
    "schedule.steps=3",
    "run.validate_every=99",
    "task.sampling_steps=2",
    "task.distances=[1]",
    "task.validation_clips=1",
    "task.matching_layer=0",
)


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line-aware autoencoder's folder."""
    torch.manual_seed(3)
    net = LineVAE(LineVAEConfig(latent_channels=3, widths=(4, 6, 8, 8), blocks=1))
    folder = tmp_path_factory.mktemp("vae")
    write_network(folder, net.config.to_dict(), net.state_dict())
    return folder


@pytest.fixture(scope="module")
def svd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Video Diffusion's parts, tiny, without a ControlNet."""
    torch.manual_seed(4)
    unet = UNet(toy_config(down_block_types=(WITH_ATTENTION, WITHOUT)))
    autoencoder = AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 32, 32, 32), layers_per_block=1, down_block_types=("DownEncoderBlock2D",) * 4
    )
    clip = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            projection_dim=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=16,
            patch_size=8,
        )
    )
    folder = tmp_path_factory.mktemp("svd")
    control = ControlNet.from_unet(unet, conditioning_channels=3)
    networks = Networks(unet, control, VideoVAE(autoencoder), ClipEmbedding(clip))
    networks.save(folder, only=["unet", "vae", "image_encoder"])
    return folder


def small(vae: Path, *overrides: str) -> Recipe:
    return load_recipe(SMALL, [f"task.autoencoder={vae}", *SIZE, *overrides])


def fine(svd: Path, *overrides: str) -> Recipe:
    return load_recipe(Path("lvcd_finetune"), [f"init.weights={svd}", *FINE, *overrides])


def test_learning_lowers_the_loss(vae: Path, tmp_path: Path) -> None:
    recipe = small(vae, "schedule.steps=60", "run.validate_every=60", "data.clips=2", "optimizer.ema_decay=0.8")
    task = build_task(recipe, CPU)
    with torch.no_grad():
        before = task.validate(task.network.eval())
    summary = train(task, recipe, tmp_path)
    assert summary.figures["loss"] < 0.95 * before["loss"]
    assert {"psnr", "psnr_soft_1", "psnr_soft_15", "copy"} <= summary.figures.keys()
    assert all(torch.tensor(summary.losses).isfinite())


def test_resumes_exactly_and_exports_what_the_method_reads(vae: Path, tmp_path: Path) -> None:
    recipe = small(
        vae, "schedule.steps=4", "schedule.shape=constant", "run.validate_every=99", "task.prev_reference_prob=0.5"
    )
    whole = train(build_task(recipe, CPU), recipe, tmp_path / "whole")
    half = replace(recipe, schedule=replace(recipe.schedule, steps=2))
    first = train(build_task(half, CPU), half, tmp_path / "parts")
    task = build_task(recipe, CPU)
    second = train(task, recipe, tmp_path / "parts")
    assert first.losses + second.losses == whole.losses

    out = export(tmp_path / "parts", tmp_path / "out", best=False, half=False)
    networks = Networks.load(out)
    assert networks.card.steps == recipe.task["sampling_steps"]
    again = DiffusionSmall.build(
        replace(recipe, init=replace(recipe.init, weights=str(out)), task={**recipe.task, "autoencoder": ""}), CPU
    )
    average = {k: v for k, v in again.network.state_dict().items() if "embed." in k}
    assert average
    torch.manual_seed(0)
    batch = next(again.batches(0, 0))
    torch.manual_seed(0)
    loss, figures = again.loss(batch)
    assert torch.isfinite(loss)
    assert {"v", "matching", "accuracy"} <= figures.keys()


def test_what_has_no_effect_is_not_trained_and_the_rest_is(vae: Path) -> None:
    task = DiffusionSmall.build(small(vae, "task.cfg_dropout=0", "task.prev_reference_prob=0"), CPU)
    for p in task.network.parameters():  # away from the zeros it starts with
        torch.nn.init.normal_(p, std=0.1)
    task.loss(next(task.batches(0, 0)))[0].backward()
    silent = {n for n, p in task.network.named_parameters() if p.grad is None or not p.grad.any()}
    frozen = {n for n, p in task.network.named_parameters() if not p.requires_grad}
    assert all(re.search(r"(attn2\.to_[qk]|\.norm2)\.", n) and "transformer_blocks" in n for n in frozen)
    assert silent - frozen == set()


def test_recomputing_activations_changes_no_gradient(vae: Path) -> None:
    found = []
    for on in ("false", "true"):
        task = build_task(small(vae, f"run.gradient_checkpointing={on}", "run.seed=5", "data.frames=3"), CPU)
        batch = next(task.batches(0, 0))
        torch.manual_seed(0)
        task.loss(batch)[0].backward()
        found.append([p.grad for p in task.network.parameters() if p.grad is not None])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_a_dropped_reference_does_not_reach_the_network(vae: Path) -> None:
    task = DiffusionSmall.build(small(vae), CPU)
    clip = next(task.batches(0, 0))
    window = task.window(clip)
    torch.nn.init.normal_(task.network.unet.conv_out.weight)  # its answers are zero at first
    other = window._replace(concat=window.concat + 1, token=window.token + 1)
    x, level = torch.randn_like(window.latents), torch.zeros(1)
    answers = [
        task.network(x, level, w._replace(conditioned=torch.full((1,), conditioned)), task.micro(level), None)[0]
        for conditioned in (0.0, 1.0)
        for w in (window, other)
    ]
    assert torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[2], answers[3])


def test_unpainted_reference_positions_are_those_of_long_sampling(vae: Path) -> None:
    task = DiffusionSmall.build(small(vae, "data.frames=7"), CPU)
    clip = next(task.batches(0, 0))
    window = task.window(clip, previous=4)
    assert window.latents.shape[1] == window.lines.shape[1] == len(window.routing) == 1 + 4 + 6
    assert window.routing.references == 5
    assert torch.equal(window.lines[:, 1:5], window.lines[:, 5:9])
    assert torch.equal(window.latents[:, 1:5], window.concat[:, 1:5])
    assert torch.equal(window.concat[:, 5], window.concat[:, 0])


def test_several_noise_levels_of_a_clip(vae: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = DiffusionSmall.build(
        small(vae, "task.noise_levels=3", "task.cfg_dropout=0", "task.prev_reference_prob=0"), CPU
    )
    clip = next(task.batches(0, 0))
    losses = {}
    for levels in ((0.1, 1.0, 9.0), (0.1, 0.1, 0.1), (1.0, 1.0, 1.0), (9.0, 9.0, 9.0)):
        sigma = torch.tensor(levels).repeat_interleave(len(clip.color))
        monkeypatch.setattr("celpaint.train.tasks.diffusion.draw_sigma", lambda *_, sigma=sigma: sigma)
        monkeypatch.setattr("torch.randn_like", torch.zeros_like)
        torch.manual_seed(0)
        losses[levels] = float(task.loss(clip)[1]["v"].detach())
    mixed, *alike = losses.values()
    assert mixed == pytest.approx(sum(alike) / 3, rel=1e-4)
    assert max(alike) - min(alike) > 1e-3


def test_refining_learns_what_the_draft_lacks(vae: Path, tmp_path: Path) -> None:
    task = DiffusionSmall.build(small(vae, 'task.draft="small"'), CPU)
    clip = next(task.batches(0, 0))
    window = task.window(clip)
    lacking = task.residual(window)
    assert torch.equal(window.concat[:, 0], task.codec.encode(2 * clip.color[:, 0] - 1))
    assert task.drafter is not None
    with torch.no_grad():
        draft = task.codec.encode(2 * task.drafter(clip)[:, 0] - 1)
    assert torch.allclose(window.concat[:, 1], draft)
    spread = task.card.draft_spread
    assert spread is not None
    assert torch.allclose(window.concat + spread * lacking, window.latents, atol=1e-5)
    task.complete_export(tmp_path)
    assert Card.read(tmp_path).draft_spread == spread
    with torch.no_grad():
        assert task.validate(task.network)["psnr"] > 0


@pytest.mark.parametrize("draft", ["", "small"])
def test_validation_scores_what_the_exported_weights_color(vae: Path, tmp_path: Path, draft: str) -> None:
    recipe = small(vae, f'task.draft="{draft}"', "schedule.steps=1", "optimizer.ema_decay=0", "run.validate_every=99")
    task = build_task(recipe, CPU)
    train(task, recipe, tmp_path / "run")
    with torch.no_grad():
        torch.nn.init.normal_(task.network.unet.conv_out.weight, std=0.05)  # its answers are almost zero yet
    for name, part in task.parts().items():
        write_network(tmp_path / "out" / name, part.config, part.tensors(task.network.state_dict()), name=part.name)
    task.complete_export(tmp_path / "out")
    clip = next(task.batches(9, 0))
    with torch.no_grad():
        scored = task.sample(task.network.eval(), clip)
    method = LVCD.load(LVCDOptions(weights=str(tmp_path / "out"), dtype="float32", device="cpu"))
    used = color_clips(method, clip)
    assert scored.shape == clip.color[:, 1:].shape
    torch.testing.assert_close(scored, used, rtol=0, atol=5e-3)  # the autoencoder is exported in half precision
    assert (scored - clip.color[:, :1]).abs().mean() > 0.01


def test_stored_latents_spare_the_encoder(vae: Path) -> None:
    task = DiffusionSmall.build(small(vae), CPU)
    clip = next(task.batches(0, 0))
    mean = torch.randn(1, 4, 3, 4, 6)
    stored = LatentClipBatch(clip.color, clip.lines, clip.times, mean=mean, logvar=torch.full_like(mean, -60.0))
    task.codec = SimpleNamespace(scale=1.0)  # nothing that could encode
    window = task.window(stored)
    torch.testing.assert_close(window.latents, mean)
    torch.testing.assert_close(window.token, mean[:, 0])


def test_fine_tuning_trains_what_the_paper_trains(svd: Path, tmp_path: Path) -> None:
    recipe = fine(svd)
    task = DiffusionFineTune.build(recipe, CPU)
    trained = {n for n, p in task.network.named_parameters() if p.requires_grad}
    assert {n for n in trained if n.startswith("unet.")} == {
        n for n, _ in task.network.named_parameters() if re.match(r"unet\..*transformer_blocks\.0\.attn1\.", n)
    }
    control = {n for n, _ in task.network.named_parameters() if n.startswith("controlnet.")}
    assert all(re.search(r"attn2\.to_[qk]|norm2", n) for n in control - trained)
    assert not any(n.startswith("embed.") for n in trained)
    before = {n: p.clone() for n, p in task.network.state_dict().items()}
    train(task, recipe, tmp_path / "run")
    after = task.network.state_dict()
    changed = {n for n in before if not torch.equal(before[n], after[n])}
    assert changed <= trained
    assert any(n.startswith("unet.") for n in changed)
    assert "controlnet.controlnet_mid_block.weight" in changed
    networks = Networks.load(export(tmp_path / "run", tmp_path / "out", best=False))
    assert isinstance(networks.codec, VideoVAE)
    torch.testing.assert_close(
        networks.unet.conv_in.weight.float(), before["unet.conv_in.weight"], rtol=1e-3, atol=1e-4
    )


def test_before_the_first_step_the_lines_change_nothing(svd: Path) -> None:
    task = DiffusionFineTune.build(fine(svd), CPU)
    clip = next(task.batches(0, 0))
    window = task.window(clip)
    x, level = torch.randn_like(window.latents), torch.zeros(1)
    answers = [
        task.network(x, level, window._replace(lines=lines), task.micro(level), None)[0]
        for lines in (window.lines, 1 - window.lines)
    ]
    assert torch.equal(*answers)


@pytest.mark.parametrize("adapt", ["full", "lora"])
def test_frozen_parts_may_be_of_half_precision(svd: Path, adapt: str) -> None:
    task = DiffusionFineTune.build(fine(svd, f"task.adapt={adapt}"), CPU)
    for p in task.network.parameters():
        if not p.requires_grad:
            p.data = p.data.bfloat16()
    batch = next(task.batches(0, 0))
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = task.loss(batch)
        with torch.no_grad():
            figures = task.validate(task.network)
    loss.backward()
    assert loss.isfinite()
    assert all(np.isfinite(value) for value in figures.values())
    assert all(p.grad is not None and p.grad.dtype == p.dtype for p in task.network.parameters() if p.requires_grad)


def test_low_rank_additions_train_little_and_merge_exactly(svd: Path, tmp_path: Path) -> None:
    recipe = fine(svd, "task.adapt=lora", "task.lora_rank=4")
    task = DiffusionFineTune.build(recipe, CPU)
    trained = {n for n, p in task.network.named_parameters() if p.requires_grad}
    assert all(".lora_" in n or re.match(r"controlnet\.controlnet_", n) for n in trained)
    assert any(n.startswith("unet.") for n in trained)
    assert any(n.startswith("controlnet.mid_block") for n in trained)
    train(task, recipe, tmp_path / "run")
    networks = Networks.load(export(tmp_path / "run", tmp_path / "out", best=False, half=False))
    clip = next(task.batches(5, 0))
    window = task.window(clip)
    x, level, micro = torch.randn_like(window.latents), torch.zeros(1), task.micro(torch.zeros(1))
    with torch.no_grad():
        adapted = task.network.eval()(x, level, window, micro, None)[0]
        task.network.unet, task.network.controlnet = networks.unet, networks.controlnet
        merged = task.network(x, level, window, micro, None)[0]
    torch.testing.assert_close(merged, adapted, rtol=1e-4, atol=1e-5)


def test_settings_that_do_not_fit_are_named(vae: Path, svd: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"task\.autoencoder"):
        run(SMALL, SIZE, run_dir=tmp_path)
    with pytest.raises(OptionError, match=r"no 'task\.matching_weigh'; wanted 'task\.matching_weight'"):
        DiffusionSmall.build(small(vae, "task.matching_weigh=1"), CPU)
    with pytest.raises(OptionError, match=r"task\.matching_layer is 99"):
        DiffusionSmall.build(small(vae, "task.matching_layer=99"), CPU)
    with pytest.raises(OptionError, match=r"\[network\] does not fit together"):
        DiffusionSmall.build(small(vae, "network.block_out_channels=[33,32]"), CPU)
    with pytest.raises(OptionError, match=r"init\.weights"):
        DiffusionFineTune.build(load_recipe(Path("lvcd_finetune"), FINE), CPU)
    with pytest.raises(WeightsError, match=r"can't|no config"):
        DiffusionSmall.build(small(tmp_path), CPU)
    with pytest.raises(OptionError, match=r"line-aware autoencoder"):
        DiffusionSmall.build(small(svd / "vae"), CPU)
