"""Training the networks of Shi et al.: windows, stages, what is frozen, supervision, features, export."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from celpaint.data.clips import ClipBatch
from celpaint.errors import OptionError
from celpaint.methods.shi2023.run import Shi2023
from celpaint.methods.shi2023.spec import Shi2023Options
from celpaint.metrics.lpips import LPIPS
from celpaint.models.shi2023.transform import Supervision
from celpaint.train.engine import checkpoint
from celpaint.train.engine.command import export
from celpaint.train.engine.engine import Engine, make_accelerator
from celpaint.train.engine.loop import train
from celpaint.train.engine.recipe import Recipe, load_recipe
from celpaint.train.engine.task import build_task
from celpaint.train.tasks.coloring import color_shot
from celpaint.train.tasks.shi2023 import Shi2023Training, first_features, reference_frames

CPU = torch.device("cpu")
TINY = (
    "data.size=[32,48]",
    "data.clips=1",
    "run.device=cpu",
    "network.transform.widths=[4,4,8]",
    "network.transform.embedder=[4,4]",
    "network.transform.context=[]",
    "network.transform.blocks=1",
    "network.refinement.widths=[4,4,8]",
    "task.validation_clips=1",
    "stages.transform.schedule.shape=constant",
    "stages.refinement.schedule.shape=constant",
)


def recipe(*overrides: str) -> Recipe:
    return load_recipe(Path("shi2023_smoke"), [*TINY, *overrides])


def task_of(*overrides: str) -> Shi2023Training:
    task = build_task(recipe(*overrides), CPU)
    assert isinstance(task, Shi2023Training)
    return task


def test_references_are_spread_over_the_window() -> None:
    assert reference_frames(8, 1) == (0,)
    assert reference_frames(8, 2) == (0, 7)
    assert reference_frames(9, 3) == (0, 4, 8)
    assert reference_frames(4, 9) == (0, 2, 3)


def test_windows_keep_time_order_and_do_not_depend_on_where_the_stream_began() -> None:
    task = task_of()
    stream = task.batches(3, 0)
    windows = [next(stream) for _ in range(8)]
    again = next(task.batches(3, 3))
    torch.testing.assert_close(again.color, windows[3].color, rtol=0, atol=0)
    torch.testing.assert_close(again.distance, windows[3].distance, rtol=0, atol=0)
    assert (again.references, again.targets) == (windows[3].references, windows[3].targets)
    for window in windows:
        assert window.references in ((0,), (0, 4))
        assert set(window.targets) <= set(window.between)
        assert (window.distance[window.lines >= 0.5] == 0).all()
    assert {window.references for window in windows} == {(0,), (0, 4)}


def test_both_stages_train_their_own_networks_and_resume_exactly(tmp_path: Path) -> None:
    steps = ("stages.transform.schedule.steps=3", "stages.refinement.schedule.steps=2", "run.validate_every=99")
    r = recipe(*steps)
    task = build_task(r, CPU)
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    whole = train(task, r, tmp_path / "whole")
    first = checkpoint.load(tmp_path / "whole/checkpoints/step-00000003", "networks")
    last = checkpoint.load(tmp_path / "whole/checkpoints/step-00000005", "networks")

    def changed(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> set[str]:
        return {name.split(".")[0] for name in b if not torch.equal(a[name], b[name])}

    assert changed(before, first) == {"transform", "frame_discriminator"}
    average = checkpoint.load(tmp_path / "whole/checkpoints/step-00000003", "average")
    assert changed(average, last) - changed(first, average) <= {"refinement", "clip_discriminator"}
    frozen = [name for name in last if name.startswith("transform.")]
    assert all(torch.equal(last[name], average[name]) for name in frozen)

    early = recipe("stages.transform.schedule.steps=3", "stages.refinement.schedule.steps=1", "run.validate_every=99")
    parts = train(build_task(early, CPU), early, tmp_path / "parts")
    rest = train(build_task(r, CPU), r, tmp_path / "parts")
    assert parts.losses + rest.losses == whole.losses


def test_a_step_trains_generator_and_discriminator(tmp_path: Path) -> None:
    r = recipe("task.targets=3")
    task = build_task(r, CPU)
    engine = Engine(task, r, make_accelerator(r))
    engine.begin_stage(r.stages["transform"], entered=True)
    engine.begin_step(1.0)
    task.step([next(task.batches(0, 0))], engine)
    engine.end_step()
    (figures,) = engine.flush()
    assert {"l1", "adversarial", "latent", "matching", "accuracy", "real_right"} <= figures.values.keys()
    assert figures.values["frame_discriminator_loss"] == pytest.approx(math.log(2), abs=0.3)
    assert all(math.isfinite(value) for value in figures.values.values())


def test_learning_improves_on_the_start(tmp_path: Path) -> None:
    steps = ("stages.transform.schedule.steps=40", "stages.refinement.schedule.steps=1", "run.validate_every=40")
    r = load_recipe(Path("shi2023_smoke"), [*steps, "run.device=cpu"])
    task = build_task(r, CPU)
    with torch.no_grad():
        start = task.validate(task.network.eval())
    train(task, r, tmp_path / "run")
    state = checkpoint.load_state(tmp_path / "run/checkpoints/step-00000040")
    assert state.figures["psnr"] > start["psnr"] + 2
    assert {"psnr_1", "psnr_2", "psnr_1_soft_8", "copy_1", "copy_2"} <= state.figures.keys()


def test_supervised_similarities_prefer_what_shows_the_same_point() -> None:
    """A still window: every position corresponds to itself in each of the two references."""
    task = task_of("task.matching_positions=96")
    height, width = 32, 48
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / height, indexing="ij")
    clip = ClipBatch(
        color=torch.rand(1, 5, 3, height, width),
        lines=torch.zeros(1, 5, 1, height, width),
        times=torch.arange(5.0)[None],
        drawing=torch.ones(1, 5, height, width, dtype=torch.long),
        point=torch.stack([x, y]).expand(1, 5, 2, -1, -1),
    )
    window = task.window(clip, 2, np.random.default_rng(0))
    assert window.drawing is not None
    assert window.point is not None
    cells = 8 * 12
    itself = torch.eye(cells).repeat(1, 2).expand(1, 2, -1, -1)  # 1 where right

    def loss(similarity: torch.Tensor) -> tuple[float, float]:
        blank = torch.zeros(1, 2, 3, 8, 12)
        supervision = Supervision(similarity, (8, 12), blank, blank)
        return tuple(map(float, task.matching(window, window.drawing, window.point, supervision)))  # type: ignore[return-value, arg-type]

    assert loss(100 * itself)[0] == pytest.approx(0, abs=1e-4)
    assert loss(100 * itself)[1] == 1
    assert loss(torch.zeros_like(itself))[0] == pytest.approx(math.log(2 * cells / 2), abs=1e-4)
    assert loss(-100 * itself)[1] == 0


def test_perceptual_features_are_the_first_of_every_stage() -> None:
    torch.manual_seed(0)
    network = LPIPS(net="vgg")
    found = first_features(network, torch.rand(2, 3, 32, 48))
    assert [tuple(f.shape) for f in found] == [
        (2, 64, 32, 48),
        (2, 128, 16, 24),
        (2, 256, 8, 12),
        (2, 512, 4, 6),
        (2, 512, 2, 3),
    ]
    assert all(f.min() >= 0 for f in found)


@pytest.mark.parametrize("references", [1, 2])
def test_validation_scores_what_the_exported_weights_color(tmp_path: Path, references: int) -> None:
    steps = ("stages.transform.schedule.steps=2", "stages.refinement.schedule.steps=2")
    r = recipe(*steps, "optimizer.ema_decay=0", "run.validate_every=99")
    task = build_task(r, CPU)
    assert isinstance(task, Shi2023Training)
    train(task, r, tmp_path / "run")
    out = export(tmp_path / "run", tmp_path / "out", best=False, half=False)
    method = Shi2023.load(Shi2023Options(weights=str(out), dtype="float32", device="cpu"))
    window = task.window(next(task.clips.batches(1, 0)), references)
    with torch.no_grad():
        scored, confidence = task.color(task.network.eval(), window)
    used, sure = color_shot(method, window.lines[0], window.color[0], window.references)
    between = list(window.between)
    torch.testing.assert_close(scored, used[between], rtol=0, atol=1e-4)
    torch.testing.assert_close(confidence, sure[between], rtol=0, atol=1e-4)
    again = task_of(f"init.weights={out}")
    again.begin_stage("refinement")
    with torch.no_grad():
        torch.testing.assert_close(again.color(again.network.eval(), window)[0], scored, rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("task.features=vgg19", "task.features"),
        ("data.frames=3", "data.frames"),
        ("network.size=large", "network.size"),
        ("network.transform.width=[4]", "network.transform.width"),
        ("stages.polish.time_share=1", "stages"),
    ],
)
def test_impossible_recipes_are_named(override: str, named: str) -> None:
    with pytest.raises(OptionError) as raised:
        build_task(recipe(override), CPU)
    assert named in raised.value.seen
