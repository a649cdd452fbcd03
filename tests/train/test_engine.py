"""Several networks and optimizers, stages, frozen teachers, averages, clipping, accumulation; killed and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from duel_task import Duel, Players, recipe
from filelock import FileLock
from torch import nn

from celpaint.errors import InputError, OptionError
from celpaint.train.engine import checkpoint
from celpaint.train.engine.command import export
from celpaint.train.engine.ema import EMA
from celpaint.train.engine.engine import Engine, make_accelerator
from celpaint.train.engine.loop import Summary, train
from celpaint.train.engine.seeding import derive_seed
from celpaint.weights.store import read_config, read_tensors

CPU = torch.device("cpu")


def fit(folder: Path, name: str, *overrides: str, stages: bool = False) -> tuple[Summary, Duel]:
    r = recipe(folder, *overrides, stages=stages)
    task = Duel.build(r, CPU)
    return train(task, r, folder / name), task


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def changed(before: dict[str, torch.Tensor], network: nn.Module) -> set[str]:
    after = network.state_dict()
    return {name.split(".")[0] for name, tensor in before.items() if not torch.equal(tensor, after[name])}


def files(folder: Path) -> dict[str, bytes]:
    """A checkpoint's tensors, byte for byte."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.safetensors"))}


def engine_of(task: Duel, folder: Path, *overrides: str) -> Engine:
    r = recipe(folder, *overrides)
    return Engine(task, r, make_accelerator(r))


def test_resuming_an_adversarial_run_gives_the_same_bytes(tmp_path: Path) -> None:
    whole, a = fit(tmp_path, "whole")
    first, _ = fit(tmp_path, "parts", "schedule.steps=5")
    second, b = fit(tmp_path, "parts")
    assert first.losses + second.losses == whole.losses
    assert second.figures == whole.figures
    newest = [checkpoint.newest(tmp_path / run) for run in ("whole", "parts")]
    assert files(newest[0]) == files(newest[1])
    assert changed(weights(a.network), b.network) == set()


def test_how_often_a_run_is_saved_does_not_change_it(tmp_path: Path) -> None:
    often, _ = fit(tmp_path, "often", "run.checkpoint_every=1")
    never, _ = fit(tmp_path, "never", "run.checkpoint_every=0")
    assert often.losses == never.losses
    assert files(checkpoint.newest(tmp_path / "often")) == files(checkpoint.newest(tmp_path / "never"))


def test_an_update_changes_only_what_its_optimizer_trains(tmp_path: Path) -> None:
    task = Duel.build(recipe(tmp_path), CPU)
    engine = engine_of(task, tmp_path)
    batches = [torch.randn(8, 2), torch.randn(8, 2)]
    for name, loss in (("discriminator", task.discriminator_loss), ("generator", task.generator_loss)):
        before = weights(task.network)
        engine.begin_step(1.0)
        engine.update(name, loss, batches)
        engine.end_step()
        assert changed(before, task.network) == {name}
    assert all(p.grad is None for p in task.network.polisher.parameters())


def test_optimizers_may_step_together_on_one_loss(tmp_path: Path) -> None:
    task = Duel.build(recipe(tmp_path), CPU)
    engine = engine_of(task, tmp_path)

    def both(real: torch.Tensor):
        return task.discriminator_loss(real)[0] + task.polisher_loss(real)[0], {}

    before = weights(task.network)
    engine.begin_step(1.0)
    engine.update(["discriminator", "polisher"], both, [torch.randn(8, 2)] * 2)
    engine.end_step()
    assert changed(before, task.network) == {"discriminator", "polisher"}
    (figures,) = engine.flush()
    assert {"discriminator_gradient_norm", "polisher_gradient_norm"} <= figures.values.keys()


def test_every_optimizer_has_its_own_learning_rate(tmp_path: Path) -> None:
    task = Duel.build(recipe(tmp_path), CPU)
    engine = engine_of(task, tmp_path)
    engine.begin_step(0.5)
    assert engine.learning_rates() == pytest.approx(
        {"generator_learning_rate": 0.005, "discriminator_learning_rate": 0.001, "polisher_learning_rate": 0.005}
    )


def test_the_teacher_stays_as_it_is(tmp_path: Path) -> None:
    before = weights(Duel.build(recipe(tmp_path), CPU).teacher)
    _, task = fit(tmp_path, "run")
    assert changed(before, task.teacher) == set()
    stored = checkpoint.load(checkpoint.newest(tmp_path / "run"), "networks")
    assert {name.split(".")[0] for name in stored} == {"generator", "discriminator", "polisher"}


def test_stages_train_their_own_networks_in_turn(tmp_path: Path) -> None:
    start = weights(Duel.build(recipe(tmp_path), CPU).network)
    _, first = fit(tmp_path, "run", "stages.polish.schedule.steps=1", stages=True)
    assert first.stages == ["fight", "polish"]
    assert changed(start, first.network) == {"generator", "discriminator", "polisher"}
    after_first = checkpoint.load(tmp_path / "run/checkpoints/step-00000005", "average")
    live = first.network.generator.state_dict()
    assert not first.network.generator.training
    assert first.network.polisher.training
    for name in live:  # frozen from the second stage on, with its averaged weights
        torch.testing.assert_close(live[name], after_first[f"generator.{name}"], rtol=0, atol=0)


@pytest.mark.parametrize("steps", [3, 5, 7])
def test_a_run_of_stages_resumes_in_any_of_them(tmp_path: Path, steps: int) -> None:
    class Stopping(Duel):
        def step(self, batches, engine):
            super().step(batches, engine)
            if engine.step + 1 == steps:
                os.kill(os.getpid(), signal.SIGINT)

    whole, _ = fit(tmp_path, "whole", stages=True)
    r = recipe(tmp_path, stages=True)
    first = train(Stopping.build(r, CPU), r, tmp_path / "parts")
    assert first.step == steps
    assert not first.finished or steps == 5
    second, task = fit(tmp_path, "parts", stages=True)
    assert second.step == 9
    assert task.stages == (["fight", "polish"] if steps < 5 else ["polish"])
    assert first.losses + second.losses == whole.losses
    newest = [checkpoint.newest(tmp_path / run) for run in ("whole", "parts")]
    assert files(newest[0]) == files(newest[1])


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    steps = ("stages.fight.schedule.steps=20", "stages.polish.schedule.steps=20")
    fit(tmp_path, "whole", *steps, stages=True)
    process = subprocess.Popen(
        [
            sys.executable,
            str(Path(__file__).with_name("duel_task.py")),
            str(tmp_path),
            *steps,
            "run.checkpoint_every=1",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "run").glob("checkpoints/step-*"))) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait(timeout=60)
    assert 0 < checkpoint.load_state(checkpoint.newest(tmp_path / "run")).step < 40
    fit(tmp_path, "run", *steps, stages=True)
    newest = [checkpoint.newest(tmp_path / run) for run in ("whole", "run")]
    assert files(newest[0]) == files(newest[1])


def test_a_stage_may_only_train_known_optimizers(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as raised:
        fit(tmp_path, "run", 'stages.fight.train=["critic"]', stages=True)
    assert "critic" in raised.value.seen
    assert raised.value.wanted == "some of generator, discriminator, polisher"


def test_exports_are_written_by_part(tmp_path: Path) -> None:
    fit(tmp_path, "run")
    out = export(tmp_path / "run", tmp_path / "out", best=False, half=False)
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "generator", "polisher"]
    assert read_config(out / "generator") == {"in": 2}
    average = checkpoint.load(checkpoint.newest(tmp_path / "run"), "average")
    fresh = Players().generator
    fresh.load_state_dict(read_tensors(out / "generator"))
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, average[f"generator.{name}"])


def test_averages_follow_the_weights() -> None:
    """Weights 1, 2, 3 with decays min(0.25, 2/11 = 0.1818), min(0.25, 3/12) and min(0.25, 4/13)."""
    parameter = nn.Parameter(torch.zeros(1))
    ema = EMA({"p": parameter}, 0.25)
    wanted = 0.0
    for value, decay in ((1.0, 2 / 11), (2.0, 0.25), (3.0, 0.25)):
        parameter.data.fill_(value)
        ema.update()
        wanted = decay * wanted + (1 - decay) * value
        assert float(ema.state_dict()["p"]) == pytest.approx(wanted)
    ema.copy_to_parameters()
    assert float(parameter.detach()) == pytest.approx(wanted)


def test_gradients_are_clipped_to_the_largest_norm(tmp_path: Path) -> None:
    task = Duel.build(recipe(tmp_path), CPU)
    engine = engine_of(task, tmp_path, "optimizer.max_grad_norm=0.1")
    engine.begin_step(1.0)
    engine.update("generator", lambda x: (100 * task.generator_loss(x)[0], {}), [torch.randn(8, 2)] * 2)
    engine.end_step()
    (figures,) = engine.flush()
    assert figures.values["generator_gradient_norm"] > 1
    clipped = torch.stack([p.grad.norm() for p in task.network.generator.parameters()]).norm()
    assert float(clipped) == pytest.approx(0.1, rel=1e-3)


def test_accumulated_gradients_equal_those_of_one_large_batch(tmp_path: Path) -> None:
    batch = torch.randn(16, 2, generator=torch.Generator().manual_seed(1))
    found = []
    for count in (1, 2, 4):
        task = Duel.build(recipe(tmp_path), CPU)
        engine = engine_of(task, tmp_path, f"optimizer.gradient_accumulation_steps={count}")

        def loss(x: torch.Tensor, task: Duel = task):
            return (task.network.polisher(x) - x.sin()).square().mean(), {}

        engine.begin_step(1.0)
        engine.update("polisher", loss, batch.chunk(count))
        engine.end_step()
        found.append((engine.flush()[0].loss, weights(task.network.polisher), task.network.polisher.weight.grad))
    for value, after, gradient in found[1:]:
        assert value == pytest.approx(found[0][0], rel=1e-5)
        torch.testing.assert_close(gradient, found[0][2], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(after, found[0][1], rtol=1e-5, atol=1e-6)


def test_checkpoints_may_follow_the_clock(tmp_path: Path) -> None:
    fit(tmp_path, "run", "run.checkpoint_every=0", "run.checkpoint_minutes=1e-9", "run.keep=100")
    assert len(list((tmp_path / "run/checkpoints").iterdir())) == 12


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run/.lock"), pytest.raises(InputError) as raised:
        fit(tmp_path, "run")
    assert "another process" in raised.value.seen


def test_seeds_are_the_same_everywhere() -> None:
    """Values of NumPy's SeedSequence, whose stream compatibility is promised."""
    assert derive_seed(0) == 15793235383387715774 >> 1
    assert derive_seed(1, 2, 3) != derive_seed(3, 2, 1)
    assert 0 <= derive_seed(2**62, 5) < 2**63


def test_a_parameter_has_one_optimizer(tmp_path: Path) -> None:
    class Greedy(Duel):
        def optimizers(self):
            return {"all": [""], "generator": ["generator"]}

    r = recipe(tmp_path)
    with pytest.raises(ValueError, match="two optimizers"):
        Engine(Greedy.build(r, CPU), r, Accelerator(cpu=True))
