"""Suite files: what is read, expanded and refused."""

from __future__ import annotations

import pytest

from celpaint.benchmark.suite import find_suite, read_suite, suites
from celpaint.errors import InputError, OptionError

CLIP = '[[clips]]\nname = "a"\nlines = "l"\nground_truth = "o"\n'
RUN = '[[runs]]\nname = "copy"\nmethod = "copy"\n'


def read(tmp_path, text):
    path = tmp_path / "suite.toml"
    path.write_text(text, encoding="utf-8")
    return read_suite(path)


@pytest.mark.parametrize("name", suites())
def test_suites_of_the_package_are_valid(name):
    suite = read_suite(find_suite(name))
    assert suite.title
    assert suite.runs


def test_a_sweep_gives_one_run_for_every_combination(tmp_path):
    text = 'title = "t"\n' + CLIP + '[[runs]]\nname = "L"\nmethod = "lvcd"\noptions = {seed = 3}\n'
    suite = read(tmp_path, text + "sweep = {overlap = [2, 4], references = [1, 3]}\n")
    assert [run.name for run in suite.runs] == [
        "L, overlap 2, references 1",
        "L, overlap 2, references 3",
        "L, overlap 4, references 1",
        "L, overlap 4, references 3",
    ]
    last = suite.runs[-1]
    assert (last.options, last.references) == ({"seed": 3, "overlap": 4}, 3)
    assert last.setting == {"overlap": 4, "references": 3}


def test_a_list_of_parts_to_ablate_gives_one_run_without_each(tmp_path):
    run = '[[runs]]\nname = "LVCD"\nmethod = "lvcd"\nablate = ["reference attention"]\nsweep = {steps = [2, 4]}\n'
    suite = read(tmp_path, 'title = "t"\n' + CLIP + RUN + run)
    assert [run.name for run in suite.runs[1:]] == [
        "LVCD, steps 2, without reference attention",
        "LVCD, steps 4, without reference attention",
    ]
    assert {run.ablate for run in suite.runs[1:]} == {"reference attention"}


def test_choosing_runs_by_name_takes_their_sweeps_and_ablations(tmp_path):
    sweep = '[[runs]]\nname = "L"\nmethod = "lvcd"\nsweep = {overlap = [2, 4]}\n'
    suite = read(tmp_path, 'title = "t"\n' + CLIP + RUN + sweep)
    assert [run.name for run in suite.choose(["L"])] == ["L, overlap 2", "L, overlap 4"]
    assert [run.name for run in suite.choose(["L, overlap 4"])] == ["L, overlap 4"]
    assert suite.choose([]) == suite.runs
    with pytest.raises(OptionError) as caught:
        suite.choose(["copy", "nothing"])
    assert "'nothing'" in caught.value.seen


@pytest.mark.parametrize(
    "films",
    ["films = 0", "references = [16]", "windows = [14]", 'windows = ["scene"]', "window_frames = 0"],
)
def test_films_that_can_not_be_made_are_refused(tmp_path, films):
    with pytest.raises(OptionError) as caught:
        read(tmp_path, f'title = "t"\n[[films]]\nart = "a"\nframes = 16\n{films}\n' + RUN)
    assert films.split(" = ")[0].replace("window_frames", "films") in caught.value.seen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "t"\n' + CLIP, "no runs or no clips"),
        ('title = "t"\n' + RUN, "no runs or no clips"),
        (CLIP + RUN, "title"),
        ('title = "t"\nmetric = ["psnr"]\n' + CLIP + RUN, "'metric'"),
        ('title = "t"\nmetrics = ["psrn"]\n' + CLIP + RUN, "psrn"),
        ('title = "t"\nprotocol = "x"\n' + CLIP + RUN, "protocol 'x'"),
        ('title = "t"\n' + CLIP + RUN + RUN, "two runs"),
        ('title = "t"\n' + CLIP + CLIP + RUN, "two clips"),
        ('title = "t"\n' + CLIP + RUN.replace('"copy"\nm', '"c"\nm').replace('= "copy"', '= "kopy"'), "method 'kopy'"),
        ('title = "t"\n' + CLIP + RUN + "options = {seed = 1}\n", "options of the baseline 'copy'"),
        ('title = "t"\n' + CLIP + RUN + 'source = "paint"\n', "source 'paint'"),
        ('title = "t"\n' + CLIP + RUN + 'ablate = "reference attention"\n', "ablate = "),
        ('title = "t"\nruns = 3\n' + CLIP, "not a list of tables"),
        ('title = "t"\n' + CLIP.replace('name = "a"\n', "") + RUN, "incomplete"),
        ("title = ", "can't be read"),
    ],
)
def test_a_broken_suite_is_refused(tmp_path, text, message):
    with pytest.raises((InputError, OptionError)) as caught:
        read(tmp_path, text)
    assert message in caught.value.seen


def test_an_unknown_suite_lists_those_of_the_package():
    with pytest.raises(InputError) as caught:
        find_suite("rapport")
    assert "report" in caught.value.wanted
    with pytest.raises(InputError) as caught:
        read_suite(find_suite("nowhere.toml"))
    assert "can't be read" in caught.value.seen
