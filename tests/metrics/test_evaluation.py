"""Films measured whole: folders, folders of clips, manifests, videos; cut anywhere, in any number of threads."""

from __future__ import annotations

import json
import math
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
from films import draw_film, write_film

from celpaint.benchmark import evaluate, evaluation
from celpaint.benchmark.evaluation import METRICS, PROTOCOLS, Job, Ruler, read_manifest
from celpaint.errors import InputError, OptionError

CHEAP = ("psnr", "ssim", "edmd", "tc", "warp", "lines", "segments", "colorfulness")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Result, original and lines of 20 frames, twice."""
    root = tmp_path_factory.mktemp("film")
    colors, drawings = draw_film(20)
    noise = np.random.default_rng(0).normal(0, 0.02, colors.shape)
    for name, offset in (("a", 0.0), ("b", 0.05)):
        write_film(root / "result" / name, np.clip(colors * (1 - offset) + noise, 0, 1))
        write_film(root / "original" / name, colors)
        write_film(root / "lines" / name, drawings)
    return root


def test_one_clip(film):
    report = evaluate(
        film / "result/a", film / "original/a", lines=film / "lines/a", metrics=CHEAP, flow="dis", workers=1
    )
    (clip,) = report.clips
    assert (clip.name, clip.frames, clip.scored) == ("a", 20, 19)
    assert clip.distance == list(range(20))
    assert math.isnan(clip.series["psnr"][0])
    assert clip.figures["psnr"] == pytest.approx(np.nanmean(clip.series["psnr"]))
    assert clip.figures["tc_dis"] > 1
    assert clip.figures["held"] == 10
    assert report.overall["psnr"].value == clip.figures["psnr"]
    assert not report.absent


def test_the_original_itself_is_perfect(film):
    report = evaluate(
        film / "original/a", film / "original/a", lines=film / "lines/a", protocol="full", metrics=CHEAP, flow="dis"
    )
    figures = report.clips[0].figures
    assert (figures["psnr"], figures["ssim"], figures["segments"], figures["segments_pixels"]) == (100, 1, 1, 1)
    assert figures["tc_dis"] == pytest.approx(1)
    assert figures["edmd"] == figures["edmd_original"]


@pytest.mark.parametrize("piece", [16, 64])
def test_cutting_and_threads_change_nothing(film, monkeypatch, piece):
    monkeypatch.setattr(evaluation, "_PIECE", piece)
    ruler = Ruler.load(CHEAP, (64, 64), flow="dis", device="cpu")
    job = Job("a", film / "result/a", film / "original/a", film / "lines/a")
    one, two = (ruler.measure(job, workers=n).scores for n in (1, 2))
    monkeypatch.setattr(evaluation, "_PIECE", 1024)
    whole = ruler.measure(job, workers=1).scores
    for cut in (one, two):
        assert cut.figures == pytest.approx(whole.figures, rel=1e-8)
        assert cut.series["psnr"] == pytest.approx(whole.series["psnr"], nan_ok=True)


def test_folders_of_clips_are_matched_by_name(film):
    report = evaluate(film / "result", film / "original", lines=film / "lines", metrics=["psnr"])
    assert [clip.name for clip in report.clips] == ["a", "b"]
    assert report.clips[0].figures["psnr"] > report.clips[1].figures["psnr"]
    assert report.overall["psnr"].value == pytest.approx(np.mean([c.figures["psnr"] for c in report.clips]))


def test_manifest_gives_what_folders_give(film, tmp_path):
    rows = [
        {"name": n, "result": str(film / "result" / n), "original": str(film / "original" / n), "references": [0, 19]}
        for n in "ab"
    ]
    (tmp_path / "clips.json").write_text(json.dumps({"clip": rows}))
    report = evaluate(tmp_path / "clips.json", metrics=["psnr"])
    assert [clip.scored for clip in report.clips] == [18, 18]
    assert report.clips[0].distance[12] == 7
    toml = "".join(f'[[clip]]\nresult = "{r["result"]}"\noriginal = "{r["original"]}"\n' for r in rows)
    (tmp_path / "clips.toml").write_text(toml)
    assert [job.references for job in read_manifest(tmp_path / "clips.toml")] == [(0,), (0,)]


def test_video_against_folder(film, tmp_path):
    path = tmp_path / "a.mkv"
    colors, _ = draw_film(20)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(24))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "bgr0"
        for frame in colors:
            picture = av.VideoFrame.from_ndarray(np.rint(frame * 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    report = evaluate(path, film / "original/a", metrics=["psnr"], protocol="full")
    assert report.clips[0].figures["psnr"] == 100


def test_report_says_what_is_missing_and_why(film, tmp_path, monkeypatch):
    monkeypatch.setenv("CELPAINT_CACHE", str(tmp_path))
    report = evaluate(film / "result/a", film / "original/a", flow="dis")
    assert sorted(report.absent) == ["edmd", "fid", "fvd", "lpips_alex"]
    assert "lines" in report.absent["edmd"]
    table = report.markdown()
    assert "| a | 19 |" in table
    assert "`fid` was not measured" in table
    stored = json.loads(report.to_json())
    assert stored["overall"]["psnr"]["low"] is None
    assert stored["clips"][0]["series"]["psnr"][0] is None


def test_films_that_do_not_belong_together(film, tmp_path):
    colors, _ = draw_film(20)
    short = write_film(tmp_path / "short", colors[:7])
    with pytest.raises(InputError, match=r"short' has 7 frames, '.*original/a' 20 frames"):
        evaluate(short, film / "original/a", metrics=["psnr"])
    narrow = write_film(tmp_path / "narrow", colors[:, :, :50])
    with pytest.raises(InputError, match=r"narrow' has 50x64 pixels, '.*original/a' 96x64"):
        evaluate(narrow, film / "original/a", metrics=["psnr"])
    with pytest.raises(InputError, match=r"short' has 7 frames"):
        evaluate(film / "result/a", film / "original/a", lines=short, metrics=["edmd"])


def test_what_can_not_be_measured(film, tmp_path):
    result, original = film / "result/a", film / "original/a"
    with pytest.raises(OptionError, match="psrn"):
        evaluate(result, original, metrics=["psrn"])
    with pytest.raises(OptionError, match="lvcd or full"):
        evaluate(result, original, protocol="small")
    with pytest.raises(InputError, match="not given"):
        evaluate(result, original, metrics=["edmd"])
    with pytest.raises(InputError, match="frame 20 is named"):
        evaluate(result, original, metrics=["psnr"], references=[20])
    with pytest.raises(InputError, match="every frame"):
        evaluate(result, original, metrics=["psnr"], references=range(20))
    with pytest.raises(InputError, match="is no manifest"):
        evaluate(result, metrics=["psnr"])
    (tmp_path / "odd.json").write_text('{"clip": [{"result": "a", "original": "b", "line": "c"}]}')
    with pytest.raises(InputError, match="'line' is not known"):
        evaluate(tmp_path / "odd.json", metrics=["psnr"])
    (tmp_path / "empty.json").write_text('{"clip": []}')
    with pytest.raises(InputError, match="no clips"):
        evaluate(tmp_path / "empty.json", metrics=["psnr"])
    write_film(tmp_path / "clips/a", draw_film(20)[0])
    with pytest.raises(InputError, match="clip 'b' is in only one"):
        evaluate(tmp_path / "clips", film / "original", metrics=["psnr"])


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
    evaluate(film / "result", film / "original", metrics=["psnr"], progress=seen.append)
    assert sorted(event.index for event in seen) == list(range(1, 41))
    assert {event.total for event in seen} == {40}


def test_every_metric_of_a_protocol_is_known():
    assert {name for protocol in PROTOCOLS.values() for name in protocol.metrics} <= METRICS.keys()
