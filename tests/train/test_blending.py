"""Training the matcher's blend."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch

from celpaint.errors import OptionError
from celpaint.frames.contact_sheet import GAP
from celpaint.models.matcher.network import Matcher
from celpaint.train.engine.recipe import InitOptions, Recipe, load_recipe
from celpaint.train.tasks.blending import TIE, Blending, Sample, choice_loss, mix
from celpaint.weights.store import write_network
from toy import MATCHER

TASK = {
    "sizes": [[48, 64], [64, 48]],
    "size_probs": [0.5, 0.5],
    "pool_size": 4,
    "validation_clips": 2,
    "distances": [2, 9],
}


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Blending:
    folder = tmp_path_factory.mktemp("matcher")
    torch.manual_seed(0)
    write_network(folder, MATCHER, Matcher(**MATCHER).state_dict())  # type: ignore[arg-type]
    recipe = Recipe(name="toy", kind="matcher_blend", task=TASK, init=InitOptions(weights=str(folder)))
    return Blending.build(recipe, torch.device("cpu"))


def first(task: Blending, start: int, count: int) -> list[Sample]:
    return list(islice(task.batches(3, start), count))


def test_only_the_blend_is_trained(task: Blending) -> None:
    trained = {name.split(".")[0] for name, p in task.network.named_parameters() if p.requires_grad}
    assert trained == {"blend"}


def test_a_sample_is_a_film_moved_onto_its_last_frame(task: Blending) -> None:
    for sample in first(task, 0, 6):
        height, width = sample.lines.shape[-2:]
        assert (height, width) in ((48, 64), (64, 48))
        assert sample.moved.shape == (4, 3, height, width)
        assert sample.flow.shape == (4, 2, height, width)
        assert bool((sample.trust[:2] == 1).all())
        for name in ("lines", "truth", "painted", "confidence", "moved", "moved_lines", "trust"):
            values = getattr(sample, name)
            assert values.dtype == torch.float32
            assert float(values.min()) >= 0
            assert float(values.max()) <= 1


def test_batches_do_not_depend_on_where_the_stream_began(task: Blending) -> None:
    for a, b in zip(first(task, 0, 14)[9:], first(task, 9, 5), strict=True):
        torch.testing.assert_close(a.truth, b.truth, atol=0, rtol=0)
        torch.testing.assert_close(a.moved, b.moved, atol=0, rtol=0)


def test_it_learns_to_take_what_is_right(task: Blending) -> None:
    sample = first(task, 0, 1)[0]
    right, wrong = sample.truth[0], 1 - sample.truth[0]
    moved = torch.stack([right, wrong, wrong, wrong])
    sample = Sample(**{**vars(sample), "moved": moved})
    network = task.network.blend
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    begun = float(task.loss(sample)[0].detach())
    for _ in range(60):
        optimizer.zero_grad()
        task.loss(sample)[0].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    share = mix(task.network, sample).share.detach().mean((1, 2, 3))
    assert float(task.loss(sample)[0].detach()) < 0.5 * begun
    assert float(share[0]) > 0.8
    assert float(share[1:].sum()) < 0.1
    network.load_state_dict(before)


def test_a_choice_costs_what_is_at_stake() -> None:
    truth, painted = torch.zeros(1, 3, 1, 2), torch.full((1, 3, 1, 2), 0.5)
    moved = torch.tensor([0.0, 0.9]).expand(1, 3, 1, 2)
    doubted, trusted = torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2)
    sure = torch.tensor([[[[9.0, -9.0]]]])
    assert float(choice_loss(sure, painted, moved, doubted, truth)) < 1e-3
    wrong = float(choice_loss(-sure, painted, moved, doubted, truth))
    assert wrong == pytest.approx((0.5 * 9 + 0.4 * 9) / 2, rel=1e-3)
    assert float(choice_loss(sure, painted, painted, doubted, truth)) == 0
    tied = [float(choice_loss(sign * sure.abs(), painted, painted, trusted, truth)) for sign in (1, -1)]
    assert tied[0] < 1e-4
    assert tied[1] == pytest.approx(9 * TIE, rel=1e-3)


def test_validation_names_what_it_is_beside(task: Blending) -> None:
    figures = task.validate(task.network)
    assert figures.keys() == {"psnr", "psnr_2", "psnr_9", "painted", "painted_2", "painted_9", "moved", "copy"}
    assert task.validate(task.network) == figures
    drawn = task.sample_sheet(task.network)
    assert drawn.shape[1] == 7 * 48 + 6 * GAP
    assert drawn.shape[2] == 3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"task": {**TASK, "new_samples_per_batch": 0.0}}, "task.new_samples_per_batch"),
        ({"task": {**TASK, "size_probs": [1.0]}}, "task.size_probs"),
        ({"task": {**TASK, "distances": [0]}}, "task.distances"),
        ({"network": {"width": 32}}, "network"),
        ({"init": InitOptions()}, "init.weights"),
    ],
)
def test_impossible_recipes_are_named(change: dict[str, object], named: str) -> None:
    recipe = {"name": "toy", "kind": "matcher_blend", "task": TASK, "init": InitOptions(weights="small"), **change}
    with pytest.raises(OptionError, match=named):
        Blending.build(Recipe(**recipe), torch.device("cpu"))  # type: ignore[arg-type]


def test_the_packaged_recipe_is_one_of_its_kind() -> None:
    assert load_recipe(Path("matcher_blend")).kind == "matcher_blend"
