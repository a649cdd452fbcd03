"""Training the matcher: labels, pool, batches, loss, and that it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from celpaint.data.clips import ClipBatch
from celpaint.errors import OptionError
from celpaint.train.engine.recipe import Recipe, load_recipe
from celpaint.train.tasks.matching import Matching, MatchingOptions, Pool, as_step, label, psnr, train_loss
from toy import MATCHER

TASK = {"sizes": [[48, 64], [160, 176]], "clips": [2, 1], "size_probs": [0.8, 0.2], "detail_prob": 1.0, "pool_size": 8}


@pytest.fixture(scope="module")
def task() -> Matching:
    torch.manual_seed(0)
    recipe = Recipe(name="toy", kind="matcher", task=TASK, network=MATCHER)
    return Matching.build(recipe, torch.device("cpu"))


def test_labels_against_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    drawing = torch.randint(0, 3, (1, 40), generator=generator)
    other = torch.randint(0, 3, (1, 50), generator=generator)
    point, other_point = torch.rand(1, 40, 2, generator=generator), torch.rand(1, 50, 2, generator=generator)
    point[0, :6], other_point[0, :6] = math.nan, math.nan
    drawing[0, :6], other[0, :6] = 3, torch.tensor([3, 3, 3, 4, 4, 4])
    drawing[0, 5] = 5
    spacing = 0.05
    labels = label(drawing, point, other, other_point, spacing)
    for i in range(40):
        apart = []
        for j in range(50):
            same = int(drawing[0, i]) == int(other[0, j])
            unknown = i < 6 and j < 6
            distance = 0.0 if unknown else float((point[0, i] - other_point[0, j]).norm())
            apart.append(distance if same and (unknown or (i >= 6 and j >= 6)) else math.inf)
        nearest = min(apart)
        found = nearest < 1.5 * spacing
        assert bool(labels.matchable[0, i]) == found
        assert bool(labels.unmatchable[0, i]) == (nearest > 4 * spacing)
        right = [found and a <= max(nearest, 0.75 * spacing) for a in apart]
        assert labels.positive[0, i].tolist() == right


def clip(number: int) -> ClipBatch:
    color = torch.full((1, 2, 3, 4, 4), number % 256 / 255)
    return ClipBatch(color, torch.zeros(1, 2, 1, 4, 4), torch.zeros(1, 2))


def test_what_a_batch_draws_from_does_not_depend_on_where_the_stream_began() -> None:
    def numbers(pool: Pool, k: int) -> list[float]:
        return [float(c.color.float().mean()) for c in pool.draw(k, 3, np.random.default_rng(k))]

    early = Pool(clip, 10, 0.5, 4)
    late = Pool(clip, 10, 0.5, 4)
    drawn = [numbers(early, k) for k in range(60)]
    assert [numbers(late, k) for k in range(40, 60)] == drawn[40:]
    assert len(early.clips) <= 10
    assert max(max(d) for d in drawn) <= 4 + 0.5 * 59


def test_batches_are_the_same_from_anywhere_and_differ_from_each_other(task: Matching) -> None:
    stream = task.batches(7, 0)
    first = [next(stream) for _ in range(3)]
    again = next(task.batches(7, 2))
    torch.testing.assert_close(first[2].color, again.color, rtol=0, atol=0)
    torch.testing.assert_close(first[2].reference_lines, again.reference_lines, rtol=0, atol=0)
    assert not torch.equal(first[0].lines, first[1].lines)


def test_targets_and_references_share_their_colors(task: Matching) -> None:
    """The turn of hues is the same in all frames of a clip: what does not move keeps its color."""
    step = next(task.batches(3, 0))
    assert step.point is not None
    assert step.drawing is not None
    assert step.color.min() >= 0
    assert step.color.max() <= 1
    targets = step.color.shape[1]
    errors = []
    for b in range(step.color.shape[0]):
        here, there = step.point[b, 0], step.point[b, targets]
        same = (step.drawing[b, 0] == step.drawing[b, targets]) & ((here - there).norm(dim=0) < 0.004)
        difference = (step.color[b, 0] - step.reference_color[b, 0]).abs().mean(0)
        errors += difference[same].tolist()
    assert len(errors) > 20
    assert float(np.median(errors)) < 0.02


def test_it_learns(task: Matching) -> None:
    options = MatchingOptions(**{**TASK, "line_augmentation_prob": 0.0})  # type: ignore[arg-type]
    torch.manual_seed(0)
    network = Matching.build(
        Recipe(name="toy", kind="matcher", task=TASK, network=MATCHER), torch.device("cpu")
    ).network
    step = next(task.batches(5, 0))
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses, accuracies = [], []
    for _ in range(25):
        loss, figures = train_loss(network, step, options)  # type: ignore[arg-type]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        accuracies.append(float(figures["accuracy"]))
    assert losses[-1] < 0.75 * losses[0]
    assert accuracies[-1] > accuracies[0] + 0.2


def test_every_parameter_is_trained(task: Matching) -> None:
    network = task.network
    network.zero_grad()
    stream = task.batches(1, 0)
    worked = False
    for _ in range(40):
        step = next(stream)
        if step.work is not None or not worked:
            loss, _ = task.loss(step)
            loss.backward()
            worked |= step.work is not None
        if worked:
            break
    assert worked
    untrained = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is None}
    assert untrained == {"blend"}  # a task of its own


def test_films_without_correspondences_train_too(task: Matching) -> None:
    step = next(task.batches(1, 0))
    bare = as_step(ClipBatch(step.color, step.lines, torch.zeros(step.color.shape[:2])))
    loss, figures = task.loss(bare)
    assert loss.isfinite()
    assert "accuracy" not in figures


def test_psnr_is_the_definition() -> None:
    a, b = torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.1)
    assert psnr(a, b) == pytest.approx(20.0, abs=1e-4)


def test_the_packaged_recipe_is_a_recipe() -> None:
    from pathlib import Path

    recipe = load_recipe(Path("matcher"))
    assert recipe.kind == "matcher"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"sizes": [[50, 64]], "clips": [1], "size_probs": [1.0]}, "task.sizes"),
        ({"clips": [1]}, "task.clips"),
        ({"size_probs": [1.0]}, "task.size_probs"),
        ({"targets": 0}, "task.targets"),
        ({"target": 2}, "task.targets"),
    ],
)
def test_wrong_settings_are_named(table: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        Matching.build(Recipe(name="toy", kind="matcher", task=table), torch.device("cpu"))
