"""Films of any source: line styles, paintings, windows and seeds; ablations by paintings and seed."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import cv2
import numpy as np
import pytest

from cel_film import draw_film
from celpaint.benchmark import benchmark, evaluate
from celpaint.benchmark.films import Film, benchmark_clips
from celpaint.benchmark.suite import FilmSpec, Run, Suite
from celpaint.benchmark.summary import ablation_table
from celpaint.conditions.lines import extract_lines
from celpaint.errors import InputError, OptionError
from celpaint.methods.base import Method
from celpaint.types import Chunk, ColorizedFrame

SPEC = FilmSpec(
    source="discs",
    films=2,
    frames=12,
    height=64,
    width=96,
    seeds=(0, 1),
    lines=("drawn", "extracted"),
    references=(1, 3),
    windows=("shot", 1, 8),
    window_frames=3,
)


def discs(spec, seed, root):
    """A source of films: a disc and a box, their colors turned by seed and number."""
    colors, drawings = draw_film(spec.frames, spec.height, spec.width)
    for number in range(spec.films):
        turned = np.roll(colors, seed + number, -1)
        yield Film(f"{number:02d}", turned, {"drawn": 1 - drawings.min(-1)})


def suite(**changed):
    return Suite("Films", (Run("copy", "copy"),), films=(replace(SPEC, **changed),), metrics=("psnr",), protocol="full")


def read(path):
    return cv2.imread(str(path))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    out = tmp_path_factory.mktemp("films")
    return out, list(benchmark_clips(suite(), out, out, {"discs": discs}))


def test_every_style_window_number_of_paintings_and_seed_is_a_clip(clips):
    _, found = clips
    assert len(found) == len({clip.name for clip in found}) == 2 * 2 * 2 * (2 + 2)  # seeds, films, styles, (K, windows)
    first = found[0]
    assert first.name == "drawn-00-k1-s0"
    assert first.axes == {"lines": "drawn", "window": "whole shot", "paintings": "1", "seed": "0"}
    assert first.group == "drawn, whole shot, 1 painting"
    assert {clip.references for clip in found if clip.axes["paintings"] == "3"} == {(0, 4, 8)}


def test_a_window_is_the_painting_and_frames_that_begin_at_its_distance(clips):
    _, found = clips
    window = next(clip for clip in found if clip.name == "drawn-01-at8-s0")
    shot = next(clip for clip in found if clip.name == "drawn-01-k1-s0")
    assert window.references == (0,)
    assert [file.name for file in sorted(window.lines.iterdir())] == ["0000.png", "0008.png", "0009.png", "0010.png"]
    for kind in ("lines", "ground_truth"):
        a, b = (getattr(clip, kind) / "0009.png" for clip in (window, shot))
        assert a.stat().st_ino == b.stat().st_ino  # linked, not copied


def test_frames_and_lines_are_those_of_the_film(clips):
    _, found = clips
    film = next(iter(discs(SPEC, 0, None)))
    shot = found[0]
    np.testing.assert_array_equal(read(shot.ground_truth / "0005.png")[..., ::-1], np.rint(film.frames[5] * 255))
    assert read(shot.lines / "0005.png").min() == 0
    extracted = next(clip for clip in found if clip.name == "extracted-00-k1-s0")
    wanted = np.rint(255 * (1 - extract_lines(film.frames[5])))
    np.testing.assert_array_equal(read(extracted.lines / "0005.png")[..., 0], wanted)


def test_films_are_made_once(clips):
    out, found = clips

    def fail(spec, seed, root):
        raise AssertionError("made again")

    assert list(benchmark_clips(suite(), out, out, {"discs": fail})) == found


def test_a_stopped_source_leaves_no_films(tmp_path):
    def stopped(spec, seed, root):
        yield next(iter(discs(spec, seed, root)))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(benchmark_clips(suite(), tmp_path, tmp_path, {"discs": stopped}))
    assert list(tmp_path.iterdir()) == []
    assert len(list(benchmark_clips(suite(), tmp_path, tmp_path, {"discs": discs}))) == 32


def test_the_manifest_measures_results_of_another_program(clips):
    out, found = clips
    manifest = tomllib.loads((out / "manifest.toml").read_text())
    assert [entry["name"] for entry in manifest["clip"]] == [clip.name for clip in found]
    for clip in found:
        (out / "results").mkdir(exist_ok=True)
        (out / "results" / clip.name).symlink_to(clip.ground_truth)
    report = evaluate(out / "manifest.toml", metrics=["psnr"], protocol="full", workers=1)
    assert report.overall["psnr"].value == 100
    assert {scores.name: scores.scored for scores in report.clips}["drawn-00-k3-s1"] == 9


def test_an_unknown_source_style_or_file_of_drawings_is_refused(tmp_path):
    with pytest.raises(OptionError) as caught:
        list(benchmark_clips(suite(source="nobody"), tmp_path, tmp_path))
    assert "'nobody'" in caught.value.seen
    with pytest.raises(OptionError) as caught:
        list(benchmark_clips(suite(lines=("wavy",)), tmp_path, tmp_path, {"discs": discs}))
    assert "'wavy'" in caught.value.seen
    with pytest.raises(InputError) as caught:
        list(benchmark_clips(suite(art="no.safetensors"), tmp_path, tmp_path, {"discs": discs}))
    assert "celpaint data art" in caught.value.todo


def test_two_tables_with_films_of_one_name_are_refused(tmp_path):
    double = replace(suite(), films=(SPEC, replace(SPEC, frames=13)))
    with pytest.raises(OptionError) as caught:
        list(benchmark_clips(double, tmp_path, tmp_path, {"discs": discs}))
    assert "'drawn-00-k1-s0'" in caught.value.seen


class Dimmed(Method):
    """A method that paints the ground truth's first frame, dimmed by what is left out."""

    def __init__(self, loss):
        self.loss = loss

    @classmethod
    def load(cls, options):
        return cls(0.0)

    def color(self, shot, **more):
        for index in range(len(shot)):
            yield Chunk((index,), (ColorizedFrame(shot.references[0].rgb * (1 - self.loss)),))


class WithoutHalf(Dimmed):
    """The same without half of it."""

    @classmethod
    def load(cls, options):
        return cls(0.5)


def test_the_ablation_table_has_a_column_for_every_number_of_paintings_and_seed(tmp_path, monkeypatch):
    from celpaint.benchmark import suite as suites
    from celpaint.benchmark import task
    from celpaint.methods.registry import method_spec

    spec = replace(method_spec("matcher"), ablations={"half": f"{__name__}:WithoutHalf"})
    monkeypatch.setattr(suites, "method_spec", lambda name: spec)
    monkeypatch.setattr(task, "weights_digest", lambda options: "")
    monkeypatch.setattr(task, "load_method", Dimmed.load)
    monkeypatch.setattr(task, "spec_of", lambda options: spec)
    monkeypatch.setattr(task, "load_object", lambda where: {f"{__name__}:WithoutHalf": WithoutHalf}[where])
    task._load.cache_clear()
    (tmp_path / "suite.toml").write_text(
        'title = "Ablations"\nprotocol = "full"\nmetrics = ["psnr"]\n'
        '[[films]]\nsource = "discs"\nfilms = 3\nframes = 12\nheight = 64\nwidth = 96\nseeds = [0, 1]\n'
        'lines = ["drawn"]\nreferences = [1, 3]\nwindows = ["shot", 2]\nwindow_frames = 2\n'
        '[[runs]]\nname = "matcher"\nmethod = "matcher"\n'
        '[[runs]]\nname = "matcher"\nmethod = "matcher"\nablate = ["half"]\n'
    )
    done = benchmark(tmp_path / "suite.toml", tmp_path, workers=1, device="cpu", films={"discs": discs})
    task._load.cache_clear()
    table = ablation_table(done)
    assert table is not None
    assert table.groups == ("paintings 1, seed 0", "paintings 3, seed 0", "paintings 1, seed 1", "paintings 3, seed 1")
    ((name, gains),) = table.rows
    assert name == "matcher, without half"
    assert all(gain.value > 0 and gain.count == 3 for gain in gains)
    text = (tmp_path / "report.md").read_text()
    assert "matcher minus its variants, psnr ↑, over whole shots" in text
    assert "| matcher, without half |" in text
    assert "Ablations, psnr" in (tmp_path / "index.html").read_text()
