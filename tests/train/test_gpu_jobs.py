"""``make train-gpu`` in small: the jobs run side by side, each ends with an export that loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from celpaint.data.synthetic.art import toy_art
from celpaint.methods.shi2023.weights import load
from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.models.matcher.network import Matcher
from celpaint.train.gpu import JOBS, main
from celpaint.weights.store import load_network, read_config, read_tensors

TOY = {
    "matcher": (
        "data.drawings=16",
        "data.prefetch=0",
        "task.sizes=[[32,48]]",
        "task.clips=[1]",
        "task.size_probs=[1.0]",
        "task.validation_clips=1",
        "schedule.steps=2",
        "schedule.by=steps",
    ),
    "line_vae": (
        "data.drawings=16",
        "data.size=[32,48]",
        "data.clips=1",
        "data.frames=2",
        "network.widths=[8,8,16,16]",
        "task.validation_clips=1",
        "schedule.steps=2",
        "schedule.by=steps",
    ),
    "shi2023": (
        "data.drawings=16",
        "data.prefetch=0",
        "data.size=[32,48]",
        "data.clips=1",
        "data.frames=4",
        "network.transform={widths=[4,6,8],context=[2],embedder=[4,8],blocks=1}",
        "network.refinement={widths=[4,4,8],dilations=[2]}",
        "task.distances=[3]",
        "task.validation_clips=1",
        "stages.transform.schedule.steps=2",
        "stages.transform.schedule.by=steps",
        "stages.refinement.schedule.steps=2",
        "stages.refinement.schedule.by=steps",
    ),
}


@pytest.mark.slow
def test_jobs_train_side_by_side_and_export(tmp_path: Path) -> None:
    toy_art(drawings=16, size=64).save(tmp_path / "art.safetensors")
    sets = [word for job, items in TOY.items() for item in items for word in ("--set", f"{job}:{item}")]
    arguments = ["--art", str(tmp_path / "art.safetensors"), "--out", str(tmp_path / "out"), "--minutes", "2"]
    assert main([*arguments, "--jobs", ",".join(TOY), "--shots", "0", *sets]) == 0
    for job, kind in (("matcher", Matcher), ("line_vae", LineVAE)):
        folder = tmp_path / "out" / job / "export"
        config = read_config(folder)
        network = (
            Matcher(**config)
            if kind is Matcher
            else LineVAE(LineVAEConfig(**{k: v for k, v in config.items() if not k.startswith("_")}))
        )
        load_network(network, read_tensors(folder), source=folder)
        assert "2 steps" in (tmp_path / "out" / f"{job}.log").read_text()
    load(tmp_path / "out" / "shi2023" / "export")
    assert "4 steps" in (tmp_path / "out" / "shi2023.log").read_text()


def test_unknown_job_names_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--art", "a", "--out", str(tmp_path), "--jobs", "mather"])
    said = capsys.readouterr().err
    assert all(name in said for name in JOBS)
