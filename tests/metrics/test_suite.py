"""Suites: what is read, expanded and refused."""

from __future__ import annotations

import pytest

from celpaint.benchmark.suite import find_suite, read_suite, suites
from celpaint.errors import CelpaintError, InputError, OptionError

CLIP = '[[clips]]\nname = "a"\nlines = "l"\noriginal = "o"\n'
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


def test_sweep_is_every_combination(tmp_path):
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
        ('title = "t"\n' + CLIP + RUN + "options = {seed = 1}\n", "no options"),
        ('title = "t"\n' + CLIP + RUN + 'source = "paint"\n', "source 'paint'"),
        ('title = "t"\n' + CLIP + RUN + 'without = "reference attention"\n', "without = "),
        ('title = "t"\nruns = 3\n' + CLIP, "no list of tables"),
        ('title = "t"\n' + CLIP.replace('name = "a"\n', "") + RUN, "incomplete"),
        ("title = ", "can't be read"),
    ],
)
def test_what_is_refused(tmp_path, text, message):
    with pytest.raises(CelpaintError, match=message) as caught:
        read(tmp_path, text)
    assert isinstance(caught.value, InputError | OptionError)


def test_unknown_suite_names_those_there():
    with pytest.raises(InputError, match="report"):
        find_suite("rapport")
    with pytest.raises(InputError, match="can't be read"):
        read_suite(find_suite("nowhere.toml"))
