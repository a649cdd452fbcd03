"""The trainer: exact resume, accumulation, schedules by time, signals, NaN, export; the same on two processes."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from accelerate import Accelerator
from curve_task import Curve, recipe

from celpaint.errors import DiskFull, InputError, OptionError, OutOfMemory, TrainingError
from celpaint.train.engine import checkpoint
from celpaint.train.engine.command import export, run
from celpaint.train.engine.loop import train
from celpaint.weights.store import read_config, read_tensors


def fit(folder: Path, name: str, *overrides: str, minutes: float | None = None):
    r = recipe(folder, *overrides)
    task = Curve.build(r, torch.device("cpu"))
    return train(task, r, folder / name, minutes=minutes), task


def test_learns_and_writes_all_it_promises(tmp_path: Path) -> None:
    summary, _ = fit(tmp_path, "run", "schedule.steps=60", "run.validate_every=20", "run.sheet_every=25")
    assert summary.finished
    assert summary.step == 60
    assert summary.frames == 60 * 2 * 16
    assert sum(summary.losses[-5:]) < 0.7 * sum(summary.losses[:5])
    out = tmp_path / "run"
    assert [p.name for p in sorted((out / "checkpoints").iterdir())] == ["step-00000055", "step-00000060"]
    lines = [json.loads(line) for line in (out / "figures.jsonl").read_text().splitlines()]
    assert {line["group"] for line in lines} == {"train", "validation"}
    assert lines[-1]["step"] == 60
    assert {"loss", "error", "two", "learning_rate", "gradient_norm", "frames_per_second"} <= lines[0].keys()
    assert [p.stem for p in sorted((out / "sheets").iterdir())] == [f"step-000000{n}" for n in (25, 50, 60)]
    assert list((out / "tensorboard").iterdir())
    assert not list(out.rglob("*.part"))


@pytest.mark.parametrize("prefetch", [0, 3])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, prefetch: int) -> None:
    whole, a = fit(tmp_path, "whole", f"data.prefetch={prefetch}", "schedule.shape=constant")
    first, _ = fit(tmp_path, "parts", "schedule.steps=7", "schedule.shape=constant")
    second, b = fit(tmp_path, "parts", f"data.prefetch={prefetch}", "schedule.shape=constant")
    assert first.losses + second.losses == whole.losses
    assert second.figures == whole.figures
    assert all(torch.equal(x, y) for x, y in zip(a.network.parameters(), b.network.parameters(), strict=True))


def test_half_precision_follows_full(tmp_path: Path) -> None:
    full, _ = fit(tmp_path, "full")
    half, task = fit(tmp_path, "half", "run.precision=bf16")
    assert half.losses == pytest.approx(full.losses, rel=0.05)
    assert half.losses != full.losses
    assert all(p.dtype == torch.float32 for p in task.network.parameters())


def test_a_run_that_is_done_stays_as_it_is(tmp_path: Path) -> None:
    fit(tmp_path, "run")
    again, _ = fit(tmp_path, "run")
    assert again.losses == ()
    assert again.step == 20


def test_a_broken_checkpoint_is_named(tmp_path: Path) -> None:
    fit(tmp_path, "run")
    (tmp_path / "run/checkpoints/.step-00000099.part").mkdir()  # of a process that was killed: ignored
    (tmp_path / "run/checkpoints/step-00000020/optimizers/model.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError) as raised:
        fit(tmp_path, "run")
    assert "step-00000020" in raised.value.seen
    assert raised.value.todo == "Delete it; the run resumes from the one before."


def test_checkpoints_hold_only_tensors_and_json(tmp_path: Path) -> None:
    fit(tmp_path, "run")
    files = {p.suffix for p in (tmp_path / "run/checkpoints").rglob("*") if p.is_file()}
    assert files == {".safetensors", ".json"}


def test_another_network_is_refused(tmp_path: Path) -> None:
    fit(tmp_path, "run")
    with pytest.raises(OptionError, match="another network"):
        fit(tmp_path, "run", "network.width=9")


def test_minutes_end_the_run_with_the_rate_at_its_end(tmp_path: Path) -> None:
    endless = ("schedule.steps=1000000", "run.log_every=1", "run.checkpoint_every=0", "run.validate_every=100000")
    summary, _ = fit(tmp_path, "run", *endless, minutes=0.05)
    assert summary.finished
    lines = [json.loads(line) for line in (tmp_path / "run/figures.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines if line["group"] == "train"]
    assert max(rates) == pytest.approx(0.01, rel=0.01)
    assert rates[-1] < 0.1 * max(rates)
    more, _ = fit(tmp_path, "run", *endless, minutes=0.03)
    assert more.step > summary.step
    assert more.seconds > summary.seconds


def test_a_signal_ends_the_run_with_a_checkpoint(tmp_path: Path) -> None:
    class Interrupted(Curve):
        def loss(self, batch):
            if self.network.training:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().loss(batch)

    r = recipe(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    summary = train(Interrupted.build(r, torch.device("cpu")), r, tmp_path / "run")
    assert summary.step == 1
    assert not summary.finished
    assert checkpoint.newest(tmp_path / "run").name == "step-00000001"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_bad_step_is_skipped(tmp_path: Path) -> None:
    summary, task = fit(tmp_path, "run", "task.poison=[3,4]")
    assert summary.step == 20
    assert torch.tensor(summary.losses).isnan().sum() == 2
    assert all(p.isfinite().all() for p in task.network.parameters())


def test_many_bad_steps_end_the_run_naming_them(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="steps 6 to 8"):
        fit(tmp_path, "run", f"task.poison={list(range(6, 20))}", "run.max_bad_steps=3")


def test_validation_names_the_best(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"run\.monitor is 'psnr'"):
        fit(tmp_path, "run", "run.monitor=psnr")
    fit(tmp_path, "low")
    state = checkpoint.load_state(tmp_path / "low/best")
    lines = [json.loads(line) for line in (tmp_path / "low/figures.jsonl").read_text().splitlines()]
    assert state.best == min(line["loss"] for line in lines if line["group"] == "validation")


def test_a_full_disk_and_a_full_device_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_tensors", full)
    with pytest.raises(DiskFull, match="no room"):
        fit(tmp_path, "run")

    class Large(Curve):
        def loss(self, batch):
            raise torch.OutOfMemoryError("CUDA out of memory")

    r = recipe(tmp_path)
    with pytest.raises(OutOfMemory, match=r"Lower data\.clips"):
        train(Large.build(r, torch.device("cpu")), r, tmp_path / "large")


def test_frozen_tensors_stay_and_are_not_stored(tmp_path: Path) -> None:
    r = recipe(tmp_path, "task.freeze=true")
    task = Curve.build(r, torch.device("cpu"))
    before = task.network[0].weight.clone()
    train(task, r, tmp_path / "run")
    assert torch.equal(task.network[0].weight, before)
    stored = checkpoint.load(tmp_path / "run/checkpoints/step-00000020", "networks")
    assert "0.weight" not in stored
    assert "1.weight" in stored
    out = export(tmp_path / "run", tmp_path / "out", half=False)
    assert torch.equal(read_tensors(out)["0.weight"], before)


def test_export_is_half_precision_with_config_and_card(tmp_path: Path) -> None:
    path = tmp_path / "curve.toml"
    recipe(tmp_path)
    summary = run(path, ["schedule.steps=12"], run_dir=tmp_path / "run")
    out = tmp_path / "run/export"
    assert summary.finished
    assert read_config(out) == {"width": 8}
    tensors = read_tensors(out)
    assert tensors["0.weight"].dtype == torch.float16
    assert tensors.keys() == Curve(8, frozenset(), False).network.state_dict().keys()
    card = (out / "README.md").read_text()
    assert "12 steps" in card
    assert "`curve_task:Curve`" in card
    newest = export(tmp_path / "run", tmp_path / "last", best=False, half=False)
    average = checkpoint.load(tmp_path / "run/checkpoints/step-00000012", "average")
    assert torch.equal(read_tensors(newest)["0.weight"], average["0.weight"])
    with pytest.raises(InputError, match="no checkpoint"):
        export(tmp_path, tmp_path / "none")


class Sharding(Accelerator):
    """Shards parameters among the processes as FSDP does, on the CPU, where Accelerate itself offers DDP alone."""

    def prepare(self, model, *optimizers):
        from torch.distributed.fsdp import fully_shard

        fully_shard(model)
        keys = ("lr", "betas", "eps", "weight_decay", "fused")
        settings = {k: v for k, v in optimizers[0].param_groups[0].items() if k in keys}
        return model, torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], **settings)


def _unnormed(folder: Path, *overrides: str):
    """A recipe and its task without batch norm, whose statistics are a process's own."""
    folder.mkdir(exist_ok=True)
    r = recipe(
        folder, "optimizer.gradient_accumulation_steps=4", "run.validate_every=5", "schedule.shape=constant", *overrides
    )
    task = Curve.build(r, torch.device("cpu"))
    task.network[1] = torch.nn.Identity()
    return task, r


def _work(rank: int, folder: Path, port: int, sharded: bool) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
    }
    torch.set_num_threads(1)
    losses: tuple[float, ...] = ()
    for steps in (5, 10):  # stopped and resumed on the way
        task, r = _unnormed(folder / f"at{rank}", f"schedule.steps={steps}")
        accelerator = Sharding(cpu=True) if sharded else None
        summary = train(task, r, folder / "two", accelerator=accelerator)
        losses += summary.losses
        kinds = {type(p).__name__ for p in task.network.parameters()}
        assert kinds == ({"DTensor"} if sharded else {"Parameter"})
    if rank == 0:
        (folder / "two.json").write_text(json.dumps([losses, summary.figures, summary.frames]))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("sharded", [False, True])
def test_two_processes_equal_one(tmp_path: Path, sharded: bool) -> None:
    task, r = _unnormed(tmp_path, "schedule.steps=10")
    one = train(task, r, tmp_path / "one")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.spawn(_work, (tmp_path, port, sharded), nprocs=2)
    losses, figures, frames = json.loads((tmp_path / "two.json").read_text())
    assert losses == pytest.approx(one.losses, rel=1e-4)
    assert figures == pytest.approx(one.figures, rel=1e-3)
    assert frames == one.frames
    ours, theirs = (checkpoint.load(checkpoint.newest(tmp_path / run), "average") for run in ("one", "two"))
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-6)


def test_accumulation_must_fit_the_processes(tmp_path: Path) -> None:
    from celpaint.train.engine.engine import _share

    class Three:
        num_processes, process_index = 3, 1

    assert list(_share(6, Three())) == [1, 4]
    with pytest.raises(OptionError, match=r"gradient_accumulation_steps=6"):
        _share(4, Three())
