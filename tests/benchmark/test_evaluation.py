"""Clips measured whole: folders, folders of clips, manifests, videos; cut anywhere, in any number of threads."""

from __future__ import annotations

import json
import math
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest

from cel_film import draw_film, write_film
from celpaint.benchmark import evaluate, metric_suite
from celpaint.benchmark.evaluation import read_manifest
from celpaint.benchmark.metric_suite import METRICS, PROTOCOLS, EvaluationClip, MetricSpec, MetricSuite
from celpaint.errors import InputError, OptionError

CHEAP = ("psnr", "ssim", "edmd", "tc", "warp", "lines", "segments", "colorfulness")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Result, ground_truth and lines of 20 frames, twice."""
    root = tmp_path_factory.mktemp("film")
    colors, drawings = draw_film(20)
    noise = np.random.default_rng(0).normal(0, 0.02, colors.shape)
    for name, offset in (("a", 0.0), ("b", 0.05)):
        write_film(root / "result" / name, np.clip(colors * (1 - offset) + noise, 0, 1))
        write_film(root / "ground_truth" / name, colors)
        write_film(root / "lines" / name, drawings)
    return root


def test_evaluate_scores_every_frame_that_was_not_given_painted(film):
    report = evaluate(
        film / "result/a", film / "ground_truth/a", lines=film / "lines/a", metrics=CHEAP, flow="dis", workers=1
    )
    (clip,) = report.clips
    assert (clip.name, clip.frames, clip.scored) == ("a", 20, 19)
    assert clip.distance == list(range(20))
    assert math.isnan(clip.series["psnr"][0])
    assert clip.values["psnr"] == pytest.approx(np.nanmean(clip.series["psnr"]))
    assert clip.values["tc_dis"] > 1
    assert clip.values["held"] == 10
    assert report.overall["psnr"].value == clip.values["psnr"]
    assert not report.missing


def test_the_ground_truth_itself_gets_perfect_scores(film):
    report = evaluate(
        film / "ground_truth/a",
        film / "ground_truth/a",
        lines=film / "lines/a",
        protocol="full",
        metrics=CHEAP,
        flow="dis",
    )
    values = report.clips[0].values
    assert (values["psnr"], values["ssim"], values["segments"], values["segments_pixels"]) == (100, 1, 1, 1)
    assert values["tc_dis"] == pytest.approx(1)
    assert values["edmd"] == values["edmd_ground_truth"]


@pytest.mark.parametrize("piece", [16, 64])
def test_scores_do_not_depend_on_pieces_and_threads(film, monkeypatch, piece):
    monkeypatch.setattr(metric_suite, "_PIECE", piece)
    metrics = MetricSuite.load(MetricSpec(CHEAP, (64, 64), "dis", "cpu"))
    job = EvaluationClip("a", film / "result/a", film / "ground_truth/a", film / "lines/a")
    one, two = (metrics.measure(job, workers=n).scores for n in (1, 2))
    monkeypatch.setattr(metric_suite, "_PIECE", 1024)
    whole = metrics.measure(job, workers=1).scores
    for cut in (one, two):
        assert cut.values == pytest.approx(whole.values, rel=1e-8)
        assert cut.series["psnr"] == pytest.approx(whole.series["psnr"], nan_ok=True)


def test_folders_of_clips_are_matched_by_name(film):
    report = evaluate(film / "result", film / "ground_truth", lines=film / "lines", metrics=["psnr"])
    assert [clip.name for clip in report.clips] == ["a", "b"]
    assert report.clips[0].values["psnr"] > report.clips[1].values["psnr"]
    assert report.overall["psnr"].value == pytest.approx(np.mean([c.values["psnr"] for c in report.clips]))


def test_a_manifest_names_clips_and_their_references(film, tmp_path):
    rows = [
        {
            "name": n,
            "result": str(film / "result" / n),
            "ground_truth": str(film / "ground_truth" / n),
            "references": [0, 19],
        }
        for n in "ab"
    ]
    (tmp_path / "clips.json").write_text(json.dumps({"clip": rows}))
    report = evaluate(tmp_path / "clips.json", metrics=["psnr"])
    assert [clip.scored for clip in report.clips] == [18, 18]
    assert report.clips[0].distance[12] == 7
    toml = "".join(f'[[clip]]\nresult = "{r["result"]}"\nground_truth = "{r["ground_truth"]}"\n' for r in rows)
    (tmp_path / "clips.toml").write_text(toml)
    assert [job.references for job in read_manifest(tmp_path / "clips.toml")] == [(0,), (0,)]


def test_a_video_is_measured_against_a_folder(film, tmp_path):
    path = tmp_path / "a.mkv"
    colors, _ = draw_film(20)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(24))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "bgr0"
        for frame in colors:
            picture = av.VideoFrame.from_ndarray(np.rint(frame * 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    report = evaluate(path, film / "ground_truth/a", metrics=["psnr"], protocol="full")
    assert report.clips[0].values["psnr"] == 100


def test_the_report_names_missing_metrics_and_why(film, tmp_path, monkeypatch):
    monkeypatch.setenv("CELPAINT_CACHE", str(tmp_path))
    report = evaluate(film / "result/a", film / "ground_truth/a", flow="dis")
    assert sorted(report.missing) == ["edmd", "fid", "fvd", "lpips_alex"]
    assert "lines" in report.missing["edmd"]
    table = report.markdown()
    assert "| a | 19 |" in table
    assert "`fid` was not measured" in table
    stored = json.loads(report.to_json())
    assert stored["overall"]["psnr"]["low"] is None
    assert stored["clips"][0]["series"]["psnr"][0] is None


def test_clips_of_other_length_or_size_are_refused(film, tmp_path):
    colors, _ = draw_film(20)
    short = write_film(tmp_path / "short", colors[:7])
    with pytest.raises(InputError) as caught:
        evaluate(short, film / "ground_truth/a", metrics=["psnr"])
    assert "short' has 7 frames" in caught.value.seen
    assert "ground_truth/a' has 20 frames" in caught.value.seen
    assert caught.value.wanted == "as many frames in both"
    narrow = write_film(tmp_path / "narrow", colors[:, :, :50])
    with pytest.raises(InputError) as caught:
        evaluate(narrow, film / "ground_truth/a", metrics=["psnr"])
    assert "narrow' has 50x64 pixels" in caught.value.seen
    assert caught.value.wanted == "the same size in both"
    with pytest.raises(InputError) as caught:
        evaluate(film / "result/a", film / "ground_truth/a", lines=short, metrics=["edmd"])
    assert "short' has 7 frames" in caught.value.seen


@pytest.mark.parametrize(
    ("given", "kind", "seen"),
    [
        ({"metrics": ["psrn"]}, OptionError, "psrn"),
        ({"protocol": "small"}, OptionError, "small"),
        ({"metrics": ["edmd"]}, InputError, "not given"),
        ({"metrics": ["psnr"], "references": [20]}, InputError, "frame 20"),
        ({"metrics": ["psnr"], "references": range(20)}, InputError, "every frame"),
    ],
)
def test_what_can_not_be_measured_is_refused(film, given, kind, seen):
    with pytest.raises(kind) as caught:
        evaluate(film / "result/a", film / "ground_truth/a", **given)
    assert seen in caught.value.seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('{"clip": [{"result": "a", "ground_truth": "b", "line": "c"}]}', "'line'"),
        ('{"clip": [{"result": "a"}]}', "ground_truth"),
        ('{"clip": []}', "no clips"),
        ("[", "JSONDecodeError"),
    ],
)
def test_a_broken_manifest_is_refused(tmp_path, text, seen):
    (tmp_path / "clips.json").write_text(text)
    with pytest.raises(InputError) as caught:
        evaluate(tmp_path / "clips.json", metrics=["psnr"])
    assert seen in caught.value.seen


def test_a_folder_without_ground_truth_is_no_manifest(film):
    with pytest.raises(InputError) as caught:
        evaluate(film / "result/a", metrics=["psnr"])
    assert "ground truth" in caught.value.todo


def test_a_clip_in_only_one_folder_is_named(film, tmp_path):
    write_film(tmp_path / "clips/a", draw_film(20)[0])
    with pytest.raises(InputError) as caught:
        evaluate(tmp_path / "clips", film / "ground_truth", metrics=["psnr"])
    assert "clip 'b'" in caught.value.seen


def test_memory_does_not_grow_with_length(tmp_path):
    peaks = []
    for count in (16, 64):
        colors, _ = draw_film(count, 128, 192)
        folder = write_film(tmp_path / str(count), colors)
        del colors
        tracemalloc.start()
        evaluate(folder, folder, metrics=["psnr", "tc"], flow="dis", protocol="full", workers=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_every_frame_is_reported_once(film):
    seen = []
    evaluate(film / "result", film / "ground_truth", metrics=["psnr"], progress=seen.append)
    assert sorted(event.index for event in seen) == list(range(1, 41))
    assert {event.total for event in seen} == {40}


def test_every_metric_of_a_protocol_is_known():
    assert {name for protocol in PROTOCOLS.values() for name in protocol.metrics} <= METRICS.keys()
