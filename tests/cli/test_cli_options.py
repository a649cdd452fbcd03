"""Options come from the dataclasses, each once, and say what is wrong with a value."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from celpaint.cli.app import run
from celpaint.methods.registry import method_specs
from celpaint.options import PathOptions


def complaint(capsys: pytest.CaptureFixture[str], *tokens: str) -> str:
    """The one sentence a wrong command line ends with."""
    assert run(tokens) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "Traceback" not in lines[0]
    return lines[0]


def colorize(*extra: str) -> tuple[str, ...]:
    return ("colorize", "lines", "--reference", "key.png", "--out", "out", *extra)


def test_help_shows_every_option_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["colorize", "--help"]) == 0
    words = capsys.readouterr().out.split()
    for cls in (PathOptions, *(spec.options for spec in method_specs().values())):
        for field in fields(cls):
            assert words.count(f"--{field.name.replace('_', '-')}") >= 1, field.name
    assert words.count("--seed") == 1
    assert "Examples:" in words


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert 'Did you mean "colorize"' in complaint(capsys, "colorise")


def test_an_unknown_option_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean --steps" in complaint(capsys, *colorize("--stps", "3"))


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (("--ink", "none"), "--ink is 'none'; wanted keep or model."),
        (("--fps", "0"), "--fps is '0'; wanted a number or a fraction, more than 0"),
        (("--fps", "fast"), "--fps is 'fast'; wanted a number or a fraction, more than 0, such as 24 or 24000/1001."),
        (("--method", "magic"), "--method is 'magic'; wanted auto, lvcd, matcher"),
        (("--method", "lvcd", "--steps", "0"), "--steps is 0; wanted 1 to 1000"),
        (("--method", "lvcd", "--steps", "few"), "--steps is 'few'; wanted a whole number, 1 to 1000."),
        (("--size", "576"), "--size is '576'; wanted WIDTHxHEIGHT, for example 576x320"),
        (("--size", "576x1"), "--size is 576x1; wanted sides of 32 to 8192 pixels"),
        (("--seed", "-1"), "--seed is -1; wanted 0 to "),
        (
            ("--method", "matcher", "--steps", "3"),
            "--steps is an option of the methods lvcd, palette and colorize-diffusion, but the method is matcher",
        ),
        (
            ("--method", "lvcd", "--flat", "on"),
            "--flat is an option of the method matcher, but the method is lvcd",
        ),
    ],
)
def test_a_wrong_value_is_explained(capsys: pytest.CaptureFixture[str], extra: tuple[str, ...], said: str) -> None:
    assert said in complaint(capsys, *colorize(*extra))


def test_an_option_of_another_method_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Add --method lvcd, or leave --steps out." in complaint(
        capsys, *colorize("--method", "matcher", "--steps", "3")
    )


@pytest.mark.parametrize("missing", ["--out"])
def test_what_is_required(capsys: pytest.CaptureFixture[str], missing: str) -> None:
    tokens = list(colorize())
    at = tokens.index(missing)
    said = complaint(capsys, *tokens[:at], *tokens[at + 2 :])
    assert f"{missing} is missing; wanted a " in said
    assert "celpaint colorize --help shows examples." in said


def test_a_source_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    assert "LINES is missing; wanted a folder, a pattern" in complaint(capsys, "colorize")


def test_nothing_was_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    complaint(capsys, *colorize("--method", "magic"))
    assert list(tmp_path.iterdir()) == []
