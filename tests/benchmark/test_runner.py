"""The runner: every task once, resumed, kept by content, in processes; the report opens in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from cel_film import draw_film, write_film
from celpaint.benchmark import benchmark
from celpaint.benchmark.provenance import code_digest
from celpaint.errors import InputError, OptionError

SUITE = """
title = "Small & <plain>"
about = "Two films, three baselines."
metrics = ["psnr", "ssim", "segments", "edmd", "tc", "fid"]
flow = "dis"

[[clips]]
name = "a"
lines = "a/lines"
ground_truth = "a/ground_truth"
group = "one"

[[clips]]
name = "b"
lines = "b/lines"
ground_truth = "b/ground_truth"
references = [4]
group = "two"

[[runs]]
name = "segments"
method = "segments"

[[runs]]
name = "flow"
method = "flow"
sweep = { references = [1, 2] }

[[runs]]
name = "rolling"
method = "segments"
reference_interval = 3
path = { ink = "model" }

[[runs]]
name = "matcher"
method = "matcher"
options = { weights = "nowhere" }
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    colors, drawings = draw_film(10, 64, 96)
    for name in "ab":
        write_film(folder / name / "lines", drawings)
        write_film(folder / name / "ground_truth", colors if name == "a" else colors[:, :, ::-1])
    write_film(folder / "b" / "lines", drawings[:, :, ::-1])
    (folder / "suite.toml").write_text(SUITE)
    return folder


@pytest.fixture(scope="module")
def done(root):
    events = []
    result = benchmark(root / "suite.toml", root / "out", root=root, workers=1, device="cpu", progress=events.append)
    assert events[-1].index == events[-1].total == 100
    return result


def task_times(folder):
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}


def test_every_run_colors_every_clip(done):
    assert list(done.reports) == ["segments", "flow, references 1", "flow, references 2", "rolling"]
    assert [outcome.clip.name for outcome in done.outcomes] == ["a", "b"] * 5
    segments = done.reports["segments"]
    assert segments.overall["segments"].value == 1
    assert segments.clips[1].distance[:6] == [4, 3, 2, 1, 0, 1]
    assert done.reports["flow, references 2"].clips[0].scored == 8
    assert done.reports["rolling"].overall["psnr"].value < segments.overall["psnr"].value


def test_a_run_that_fails_is_reported_and_the_others_continue(done, root):
    failed = [outcome for outcome in done.outcomes if outcome.error]
    assert {outcome.run.name for outcome in failed} == {"matcher"}
    assert "nowhere" in failed[0].error
    assert "**matcher** failed" in (root / "out/report.md").read_text()


def test_painted_frames_come_back_painted(done):
    """The reference's own frame, but for its ink, which is laid over anew."""
    outcome = next(o for o in done.outcomes if o.run.name == "segments" and o.clip.name == "b")
    assert outcome.references == (4,)
    frame = cv2.imread(str(outcome.frames / "0004.png"))[..., ::-1]
    truth = cv2.imread(str(outcome.clip.ground_truth / "A_0004.png"))[..., ::-1]
    line = cv2.imread(str(outcome.clip.lines / "A_0004.png"), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(frame[line > 250], truth[line > 250])


def test_a_second_run_makes_nothing_again(done, root):
    before = task_times(root / "out/tasks")
    again = benchmark(root / "suite.toml", root / "out", root=root, workers=1, device="cpu")
    assert task_times(root / "out/tasks") == before
    assert {name: str(report.overall) for name, report in again.reports.items()} == {
        name: str(report.overall) for name, report in done.reports.items()
    }


@pytest.fixture
def small(root, tmp_path):
    """A smaller suite and its clips, to be changed."""
    for name in "ab":
        shutil.copytree(root / name, tmp_path / name)
    runs = "".join(f'[[runs]]\nname = "{n}"\nmethod = "{n}"\n' for n in ("segments", "flow"))
    clips = SUITE[SUITE.index("[[clips]]") : SUITE.index("[[runs]]")]
    (tmp_path / "small.toml").write_text('title = "small"\nmetrics = ["psnr"]\n' + clips + runs)
    return lambda **more: benchmark(
        tmp_path / "small.toml", tmp_path / "out", root=tmp_path, device="cpu", **{"workers": 1, **more}
    )


def test_a_stopped_benchmark_resumes_with_the_tasks_that_are_missing(small, tmp_path):
    one = small(workers=2)  # as if other processes had been stopped
    tasks = sorted((tmp_path / "out/tasks").iterdir())
    assert len(tasks) == 4
    (tasks[0] / "coloring.json").unlink()
    next(tasks[1].glob("scores-*.json")).unlink()
    kept = {task: (task / "coloring.json").stat().st_mtime_ns for task in tasks[1:]}
    two = small()
    assert (tasks[0] / "coloring.json").exists()
    assert any(tasks[1].glob("scores-*.json"))
    assert {task: (task / "coloring.json").stat().st_mtime_ns for task in tasks[1:]} == kept
    assert str(two.reports["flow"].overall) == str(one.reports["flow"].overall)


def test_a_clip_with_other_bytes_is_another_task(small, tmp_path):
    one = small(only=["flow"])
    write_film(tmp_path / "a/ground_truth", 1 - draw_film(10, 64, 96)[0])
    two = small(only=["flow"])
    assert [o.clip.name for o in two.outcomes] == ["a", "b"]
    assert two.outcomes[0].frames != one.outcomes[0].frames
    assert two.outcomes[1].frames == one.outcomes[1].frames


def test_results_hold_every_run_on_every_clip(done, root):
    stored = json.loads((root / "out/results.json").read_text())
    assert len(stored["tasks"]) == 10
    assert stored["overall"]["segments"]["segments"]["value"] == 1
    assert stored["machine"]["torch"]
    table = (root / "out/report.md").read_text()
    assert "| segments |" in table
    assert "By group of clips, psnr" in table
    assert "`fid` was not measured" in table


def test_the_page_is_self_contained_and_escaped(done, root):
    page = (root / "out/index.html").read_text()
    assert "Small &amp; &lt;plain&gt;" in page
    assert not re.findall(r'(?:src|href)="(?!data:image/webp;base64,|#)', page)
    assert page.count("<svg") >= 4
    assert "Quality against references" in page


def browser():
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


@pytest.mark.skipif(browser() is None, reason="no Chromium to open the report in (Debian: apt install chromium)")
def test_the_page_opens_in_a_browser(done, root, tmp_path):
    picture = tmp_path / "page.png"
    quiet = "--no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-quic"
    subprocess.run(
        [str(browser()), "--headless", "--no-sandbox", "--disable-gpu", *quiet.split(), "--hide-scrollbars",
         f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,2400", f"--screenshot={picture}",
         (root / "out/index.html").resolve().as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    seen = cv2.imread(str(picture))
    assert seen.shape == (2400, 1280, 3)
    assert np.mean(seen < 128) > 0.01, "text is drawn"
    colors = {tuple(c) for c in seen[::3, ::3].reshape(-1, 3)}
    assert any(max(c) - min(c) > 90 for c in colors), "plots and paintings are drawn"


def test_an_unknown_run_or_a_missing_clip_is_refused(root, tmp_path):
    with pytest.raises(OptionError) as caught:
        benchmark(root / "suite.toml", tmp_path, root=root, only=["nothing"])
    assert "'nothing'" in caught.value.seen
    with pytest.raises(InputError) as caught:
        benchmark(root / "suite.toml", tmp_path, root=tmp_path)
    assert "does not exist" in caught.value.seen


def test_code_that_colors_measures_and_makes_films_has_a_digest_each():
    digests = [code_digest("coloring"), code_digest("measuring"), code_digest("films")]
    assert len(set(digests)) == 3
    assert {len(digest) for digest in digests} == {64}


def test_the_synthesizers_films_are_the_same_every_time(tmp_path):
    art = Path(__file__).parents[2] / "build" / "art.safetensors"
    if not art.exists():
        pytest.skip("no collection of drawings at build/art.safetensors (celpaint data art)")
    (tmp_path / "suite.toml").write_text(
        'title = "s"\nmetrics = ["psnr"]\n[[films]]\n'
        f'art = "{art}"\nfilms = 1\nfirst = 1\nframes = 3\nheight = 48\nwidth = 64\nwindow_frames = 1\n'
        '[[runs]]\nname = "copy"\nmethod = "copy"\n'
    )
    one = benchmark(tmp_path / "suite.toml", tmp_path / "out", workers=1, device="cpu")
    assert [clip.name for clip in one.clips] == ["clean-01"]
    assert 5 < one.reports["copy"].overall["psnr"].value <= 100
    again = benchmark(tmp_path / "suite.toml", tmp_path / "out", workers=1, device="cpu")
    assert again.clips == one.clips
