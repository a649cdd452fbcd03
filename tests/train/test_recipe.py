"""Recipes: every key is known, every value of its kind, every message names what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celpaint.errors import InputError, OptionError
from celpaint.train.engine.recipe import Recipe, ScheduleOptions, load_recipe, packaged_recipes
from celpaint.train.engine.schedule import rate


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_defaults_overrides_and_the_way_back(tmp_path: Path) -> None:
    path = write(tmp_path, '[task]\nkind = "matcher"\ngain = 2\n[optimizer]\nlr = 1\n[network]\nwidth = 4\n')
    recipe = load_recipe(
        path, ["optimizer.betas=[0.5, 0.6]", "run.monitor=psnr", "network.deep = true", "data.size=[32,64]"]
    )
    assert recipe.name == "mine"
    assert recipe.kind == "matcher"
    assert recipe.task == {"gain": 2}
    assert recipe.network == {"width": 4, "deep": True}
    assert recipe.optimizer.lr == 1.0
    assert isinstance(recipe.optimizer.lr, float)
    assert recipe.optimizer.betas == (0.5, 0.6)
    assert recipe.run.monitor == "psnr"
    assert recipe.data.size == (32, 64)
    assert Recipe.from_json(recipe.as_json()) == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.lr=1", r"no 'optimiser'; wanted 'optimizer'"),
        ("optimizer.learning_rate=1", r"no 'optimizer\.learning_rate'; wanted"),
        ("schedule.warm_up=1", r"wanted 'schedule\.warmup_steps'"),
        ("optimizer.lr=fast", r"optimizer\.lr is 'fast'; wanted a number"),
        ("optimizer.lr=-1", r"optimizer\.lr is -1; wanted a number > 0"),
        ("optimizer.betas=[0.9]", r"optimizer\.betas is \[0\.9\]; wanted a list of length 2"),
        ("schedule.shape=round", r"wanted constant or cosine or trapezoid"),
        ("run.compile=1", r"run\.compile is 1; wanted true or false"),
        ("run.seed=1.5", r"wanted a whole number"),
        ("data=1", r"data is 1; wanted a table"),
        ("data.size=[100, 64]", r"data\.size\[0\] is 100; wanted a whole number that's a multiple of 16"),
        ("data.source=prepared", r"data\.path is ''; wanted the prepared data's path"),
        ("nothing", r"--set is 'nothing'; wanted table\.key=value"),
        ("name.x=1", r"'name' is a value, not a table"),
        ("run.log_every=0", r"run\.log_every is 0; wanted a whole number >= 1"),
        ("kind=matcher", r"no 'kind'; wanted 'task\.kind'"),
        ("optimizers.critic.lrr=1", r"no 'optimizers\.critic\.lrr'; wanted 'optimizers\.critic\.lr'"),
        ("optimizers.critic.gradient_accumulation_steps=2", r"wanted optimizer\.gradient_accumulation_steps"),
        (
            "stages.first.schedule.step=2",
            r"no 'stages.*\.step'; wanted 'stages\.first\.schedule\.steps'",
        ),
        ("stages.first.train=generator", r"stages\.first\.train is 'generator'; wanted a list"),
    ],
)
def test_every_wrong_key_and_value_is_named(tmp_path: Path, override: str, message: str) -> None:
    path = write(tmp_path, 'name = "n"\n[task]\nkind = "matcher"\n')
    with pytest.raises(OptionError, match=message):
        load_recipe(path, [override])


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recipe 'missing'"):
        load_recipe(Path("missing"))
    with pytest.raises(InputError, match="not a TOML file"):
        load_recipe(write(tmp_path, "[task\n"))
    with pytest.raises(OptionError, match=r"task\.kind"):
        load_recipe(write(tmp_path, "[data]\n"))


@pytest.mark.parametrize("name", packaged_recipes())
def test_packaged_recipes_are_whole(name: str) -> None:
    overrides = ["data.path=somewhere"] if name != "toy" else []
    assert load_recipe(Path(name), overrides).name == name


@given(
    shape=st.sampled_from(["constant", "cosine", "trapezoid"]),
    warmup=st.integers(0, 50),
    decay=st.floats(0.01, 1),
    final=st.floats(0, 1),
)
def test_the_rate_rises_once_and_falls_once(shape: str, warmup: int, decay: float, final: float) -> None:
    options = ScheduleOptions(shape=shape, warmup_steps=warmup, decay_fraction=decay, final_lr_ratio=final, steps=100)
    rates = [rate(options, k / 100, k) for k in range(101)]
    assert all(0 <= r <= 1 for r in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert all(a >= b - 1e-12 for a, b in zip(rates[max(top, warmup) :], rates[max(top, warmup) + 1 :], strict=False))
    assert rates[-1] == pytest.approx(1.0 if shape == "constant" else final)
