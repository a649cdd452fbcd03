"""Training of the small ColorizeDiffusion v2 at toy size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from celpaint.data.clips import ClipBatch
from celpaint.errors import OptionError
from celpaint.methods.colorize_diffusion.conditioning import Mode
from celpaint.methods.colorize_diffusion.networks import Networks
from celpaint.methods.colorize_diffusion.run import ColorizeDiffusion
from celpaint.methods.colorize_diffusion.spec import ColorizeDiffusionOptions
from celpaint.train import run
from celpaint.train.engine import checkpoint
from celpaint.train.engine.recipe import load_recipe
from celpaint.train.engine.task import build_task
from celpaint.train.tasks.colorize_diffusion import ColorizeDiffusionTraining, histogram_transfer, leakage
from celpaint.train.tasks.reference_pairs import PairOptions, ReferencePairs, pairs_of
from celpaint.types import Frame, Reference, Shot
from toy_colorize import awake

TINY = ("data.size=[32,48]", "data.prefetch=0")
STILL = PairOptions(moved=0.0, deformed=0.0, swapped=0.0)


def clip(clips: int = 2, frames: int = 2) -> ClipBatch:
    """Squares, drawing 2, that move over a set, drawing 0 and 1; every clip and frame has colors of its own."""
    random = torch.Generator().manual_seed(0)
    drawing = torch.zeros(clips, frames, 16, 24, dtype=torch.long)
    drawing[..., :4, :] = 1
    for frame in range(frames):
        drawing[:, frame, 6:12, 4 + 6 * frame : 10 + 6 * frame] = 2
    paint = torch.rand(clips, frames, 3, 3, generator=random)
    color = torch.stack([paint[b, t, :, drawing[b, t]] for b in range(clips) for t in range(frames)])
    point = torch.stack(torch.meshgrid(torch.arange(16.0), torch.arange(24.0), indexing="ij")[::-1]) / 16
    return ClipBatch(
        color.unflatten(0, (clips, frames)),
        torch.zeros(clips, frames, 1, 16, 24),
        torch.zeros(clips, frames),
        drawing,
        point.expand(clips, frames, -1, -1, -1),
    )


def pairs(options: PairOptions, seed: int = 0) -> ReferencePairs:
    return pairs_of(clip(), options, 1, np.random.default_rng(seed))


def colors_in(picture: Tensor, mask: Tensor) -> Tensor:
    return picture[:, mask].unique(dim=1)


def test_reference_is_another_frame_of_the_clip() -> None:
    made = pairs(STILL)
    left, right = (made.reference_figure[n, 0].nonzero()[:, 1].float().mean() for n in (0, 1))
    assert (float(left), float(right)) == (12.5, 6.5)  # frame 1 is the reference of frame 0, and frame 0 of frame 1
    assert made.told.all()
    assert torch.equal(made.reference, made.background)


def test_deformed_reference_is_the_drawing_itself() -> None:
    made = pairs(replace(STILL, deformed=1.0))
    for n in range(4):
        own, bent = (
            colors_in(x[n], m[n, 0] > 0)
            for x, m in ((made.color, made.figure), (made.reference, made.reference_figure))
        )
        assert torch.cdist(own.T, bent.T).amin() < 1e-3
    assert not torch.equal(made.figure, made.reference_figure)


def test_swapped_background_is_not_told_and_matches_nothing() -> None:
    made = pairs(replace(STILL, swapped=1.0))
    outside = made.reference_figure[:, 0] == 0
    assert torch.equal(made.told, made.figure)
    assert (made.reference_drawing[outside] == -1).all()
    assert (made.reference_drawing[~outside] == 2).all()
    assert (made.reference - made.background).abs().amax(1)[~outside].max() < 1e-6
    assert (made.reference - made.background).abs().amax(1)[outside].min() > 1e-3


def test_moved_reference_carries_its_correspondences_along() -> None:
    made = pairs(replace(STILL, moved=1.0), seed=3)
    assert torch.equal(made.reference_figure[:, 0] > 0, made.reference_drawing == 2)
    still = pairs(STILL, seed=3)
    assert not torch.equal(made.reference_point, still.reference_point)


def test_leakage_counts_figures_painted_as_background() -> None:
    made = pairs(STILL)
    told = made.reference
    plain = replace(made, color=told, figure=made.reference_figure)  # the truth is the reference itself
    assert float(leakage(told, plain)) == 0
    behind = told[:, :, -1:, -1:].expand_as(told)
    assert float(leakage(behind, plain)) == 1


def test_histogram_transfer_has_the_colors_of_the_reference() -> None:
    made = pairs(STILL)
    lines = torch.rand(4, 1, 16, 24, generator=torch.Generator().manual_seed(0))
    moved = histogram_transfer(lines, made.reference)
    assert torch.equal(moved.flatten(2).sort().values, made.reference.flatten(2).sort().values)


def task(*overrides: str) -> ColorizeDiffusionTraining:
    built = build_task(load_recipe(Path("colorize_diffusion_smoke"), [*TINY, *overrides]), torch.device("cpu"))
    assert isinstance(built, ColorizeDiffusionTraining)
    return built


STAGES = {"base": {"sketch_encoder", "image_encoder"}, "background": {"background_encoder"}, "style": {"style_encoder"}}


def short(*stages: str) -> list[str]:
    return [f"stages.{name}.schedule={{steps={2 if name in stages else 1},by='steps'}}" for name in STAGES]


def test_stages_train_one_after_the_other_and_export_weights_that_load(tmp_path: Path) -> None:
    summary = run(Path("colorize_diffusion_smoke"), [*TINY, *short("base")], run_dir=tmp_path)
    assert (summary.step, summary.finished) == (4, True)
    networks = Networks.load(tmp_path / "export")
    assert (networks.card.steps, networks.card.prediction) == (1, "v")
    assert networks.unet.style_modules[0][2].weight.any()  # type: ignore[index,union-attr,operator]


def test_a_stage_changes_its_own_parts_alone(tmp_path: Path) -> None:
    run(Path("colorize_diffusion_smoke"), [*TINY, *short()], run_dir=tmp_path)
    saved = sorted((tmp_path / "checkpoints").iterdir())
    states = [checkpoint.load(folder, "average") for folder in saved]
    changed = {
        name.split(".")[0]
        for name, value in states[1].items()
        if not torch.equal(value, states[0][name]) and not name.startswith("unet.")
    }
    assert len(states) == 2
    assert changed == STAGES["style"]


def test_encoders_start_as_copies_of_the_unets_encoder_but_only_once() -> None:
    built = task()
    built.begin_stage("background")
    copy, own = built.network.background_encoder.input_blocks, built.network.unet.input_blocks
    assert all(torch.equal(value, own.state_dict()[name]) for name, value in copy.state_dict().items())
    awake(built.network.unet.warp_modules)
    torch.nn.init.zeros_(own[0][0].weight)  # type: ignore[index,arg-type,union-attr]
    built.begin_stage("background")
    assert copy[0][0].weight.any()  # type: ignore[index,union-attr,operator]


def test_optimizers_share_out_every_parameter_but_the_autoencoders() -> None:
    built = task()
    names = [name for name, _ in built.network.named_parameters()]
    owners = {
        name: [
            key
            for key, owned in built.optimizers().items()
            if any(name == o or name.startswith(f"{o}.") for o in owned)
        ]
        for name in names
    }
    assert all(len(found) == (not name.startswith("vae.")) for name, found in owners.items())
    assert {key for name, found in owners.items() if "lora_" in name for key in found} == {"background"}


def test_matching_loss_falls_when_trained_alone() -> None:
    built = task("task.pixel_weight=0", "task.matching_weight=100")
    batch = next(iter(built.batches(0, 0)))
    optimizer = torch.optim.Adam([p for p in built.network.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(12):
        torch.manual_seed(0)
        loss, figures = built.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(figures["matching"].detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_batches_do_not_depend_on_where_the_stream_starts() -> None:
    built = task()
    stream = built.batches(5, 0)
    third = [next(stream) for _ in range(3)][2]
    again = next(built.batches(5, 2))
    assert torch.equal(third.reference, again.reference)
    assert torch.equal(third.color, again.color)


def test_modes_agree_before_their_parts_are_trained() -> None:
    built = task()
    batch = next(built.held_out())
    results = [built.colored(built.network, batch, mode) for mode in (Mode.VANILLA, Mode.STYLE)]
    assert torch.allclose(*results, atol=1e-6)


def test_recipe_without_stages_is_refused() -> None:
    recipe = replace(load_recipe(Path("colorize_diffusion_smoke")), stages={})
    with pytest.raises(OptionError, match="some of base, background, style"):
        build_task(recipe, torch.device("cpu"))


def test_unknown_layer_is_refused() -> None:
    with pytest.raises(OptionError, match=r"task\.matching_layers.*0 to 3"):
        task("task.matching_layers=[9]")


class Masks(list[Frame]):
    """Masks of drawings, in memory."""

    files = ()


@pytest.mark.parametrize("mode", Mode)
def test_the_method_colors_as_validation_does(mode: Mode) -> None:
    """With the exported card: the same lines, references, masks and labels reach the networks."""
    built = task("data.size=[48,80]")
    net = awake(built.network)
    networks = Networks(
        *(net.unet, net.sketch_encoder, net.background_encoder, net.style_encoder, net.vae, net.image_encoder),
        built.card,
    )
    batch = next(built.held_out())
    with torch.inference_mode():
        wanted = built.colored(net, batch, mode)
    method = ColorizeDiffusion(networks, ColorizeDiffusionOptions(mode=mode.name.lower()), torch.device("cpu"))  # type: ignore[arg-type]

    def picture(pictures: Tensor) -> Frame:
        return Frame(np.ascontiguousarray(pictures[0].expand(3, -1, -1).permute(1, 2, 0).numpy()))

    reference, line = picture(batch.reference), batch.lines[0, 0].numpy()
    method.masks, method.reference_mask = Masks([picture(batch.figure)]), batch.reference_figure[0, 0].numpy()  # type: ignore[assignment]
    (chunk,) = method.color(Shot([line], (Reference(reference.rgb, line, None, reference),), (48, 80)))
    found = torch.from_numpy(chunk.painted[0].rgb).permute(2, 0, 1)
    assert batch.told[0].all()
    assert float(wanted.std()) > 0.05
    # The latents begin with unit variance, where validation's lack what the clean latents would add.
    torch.testing.assert_close(found, wanted[0], atol=2e-3, rtol=0)
