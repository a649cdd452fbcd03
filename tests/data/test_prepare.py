"""Films -> shards -> clips: shots by the rule, exact pixels, resumable, damaged files reported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from celpaint.conditions.lines import extract_lines, working_lines
from celpaint.data.prepare import Prepared, prepare
from celpaint.data.prepared import LatentClipBatch, PreparedClips
from celpaint.errors import InputError, OptionError, WeightsError
from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.types import Event
from celpaint.weights.store import write_network

SIZE = (32, 48)


def film(folder: Path, *shots: int, seed: int = 0) -> Path:
    """Numbered pictures 64 x 96: shots of so many frames, each with colors of its own and a moving disc."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    number = 0
    for length in shots:
        back, disc = rng.integers(0, 256, 3), rng.integers(0, 256, 3)
        for k in range(length):
            picture = np.full((64, 96, 3), back, np.uint8)
            cv2.circle(picture, (20 + 2 * k, 32), 12, disc.tolist(), -1)
            cv2.circle(picture, (20 + 2 * k, 32), 12, (0, 0, 0), 1)
            cv2.imwrite(str(folder / f"f_{number:04d}.png"), picture)
            number += 1
    return folder


def make(out: Path, *videos: Path, **options) -> Prepared:
    return prepare(videos, out, size=SIZE, shortest=4, longest=20, processes=1, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of shots of 6, 3, 9 and 5 frames, prepared."""
    base = tmp_path_factory.mktemp("films")
    make(base / "out", film(base / "a", 6, 3, 9, 5))
    return base


def test_shots_follow_the_rule(folder: Path) -> None:
    manifest = json.loads((folder / "out/manifest.json").read_text())
    assert [(clip["start"], clip["frames"]) for clip in manifest["clips"]] == [(0, 6), (9, 9), (18, 5)]
    assert manifest["size"] == list(SIZE)
    assert manifest["limit"] == 30.0
    assert manifest["skipped"] == []


def test_pixels_and_lines_are_those_of_the_film(folder: Path) -> None:
    clips = PreparedClips(folder / "out", frames=4, distance=(1, 2))
    batch = clips.batch(7, 3)
    assert batch.color.shape == (3, 4, 3, *SIZE)
    assert batch.lines.shape == (3, 4, 1, *SIZE)
    sources = [cv2.imread(str(p))[..., ::-1].astype(np.float32) / 255 for p in sorted((folder / "a").iterdir())]
    small = [cv2.resize(s, SIZE[::-1], interpolation=cv2.INTER_AREA) for s in sources]
    for clip in range(3):
        for frame in range(4):
            color = batch.color[clip, frame].permute(1, 2, 0).numpy()
            errors = [np.abs(color - s).max() for s in small]
            found = int(np.argmin(errors))
            assert errors[found] < 0.51 / 255
            lines = working_lines(extract_lines(sources[found]), SIZE)
            assert np.abs(batch.lines[clip, frame, 0].numpy() - lines).max() < 0.51 / 255
    assert float(batch.lines.max()) > 0.5


def test_clips_depend_on_the_seed_alone(folder: Path) -> None:
    a, b = (PreparedClips(folder / "out", frames=3) for _ in range(2))
    b.batch(1, 2)
    assert torch.equal(a.batch(5, 2).color, b.batch(5, 2).color)
    assert not torch.equal(a.batch(5, 2).color, a.batch(6, 2).color)


@pytest.mark.parametrize("distance", [None, (1, 1), (2, 60)])
def test_the_reference_lies_before_the_frames(folder: Path, distance: tuple[int, int] | None) -> None:
    clips = PreparedClips(folder / "out", frames=4, distance=distance)
    rng = np.random.default_rng(0)
    for length in (4, 5, 9, 30, 200):
        for _ in range(50):
            numbers = clips._choose(length, rng)
            assert len(numbers) == 4
            assert 0 <= numbers[0] < numbers[1]
            assert numbers[1:] == list(range(numbers[1], numbers[1] + 3))
            assert numbers[-1] < length
            if distance is None:
                assert numbers[0] < max(1, numbers[1] / 4)
            elif length == 200:
                assert distance[0] <= numbers[1] - numbers[0] <= distance[1]


def test_some_shots_are_held_out_by_name(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, film(tmp_path / "many", *[4] * 60))
    train, held = (PreparedClips(out, frames=4, validation=v) for v in (False, True))
    keys = [{clip["key"] for clip in clips.clips} for clips in (train, held)]
    assert 1 <= len(held) <= 6
    assert keys[0].isdisjoint(keys[1])
    assert len(train) + len(held) == 60


def test_a_second_run_does_nothing_anew_and_takes_in_new_films(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    out = tmp_path / "copy/out"
    (shard,) = (out / "shards").glob("*.tar")
    before = shard.stat().st_mtime_ns
    events: list[Event] = []
    found = make(out, tmp_path / "copy/a", film(tmp_path / "b", 7, seed=5), progress=events.append)
    assert shard.stat().st_mtime_ns == before
    assert found.shots == 4
    assert found.frames == 27
    assert [e.stage for e in events] == ["read", "write"]
    # a run that died left a part behind; the shard is made again, the same
    whole = shard.read_bytes()
    shard.unlink()
    (out / "shards" / f"{shard.name}.json").unlink()
    (out / "shards" / f".{shard.name}.part").write_bytes(b"half")
    make(out, tmp_path / "copy/a", tmp_path / "b")
    assert shard.read_bytes() == whole
    assert not list(out.rglob("*.part"))


def test_processes_make_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    prepare([folder / "a"], tmp_path, size=SIZE, shortest=4, longest=20, processes=2)
    (ours,), (theirs,) = ((f / "shards").glob("*.tar") for f in (tmp_path, folder / "out"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_damaged_films_are_reported_and_left_out(tmp_path: Path) -> None:
    good = film(tmp_path / "good", 5)
    (tmp_path / "broken.mp4").write_bytes(b"this is no video")
    damaged = film(tmp_path / "damaged", 5, seed=3)
    inside = damaged / "f_0002.png"
    inside.write_bytes(inside.read_bytes()[:150])
    found = make(tmp_path / "out", good, tmp_path / "broken.mp4", damaged, tmp_path / "missing.mp4")
    assert found.shots == 1
    assert {name for name, _ in found.skipped} == {"broken.mp4", "damaged", "missing.mp4"}
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert all(entry["reason"] for entry in manifest["skipped"])
    with pytest.raises(InputError, match="none of 2 videos"):
        make(tmp_path / "none", tmp_path / "broken.mp4", tmp_path / "missing.mp4")
    with pytest.raises(InputError, match="no shot of 4 to 20"):
        make(tmp_path / "short", film(tmp_path / "brief", 2, 3))


def test_other_settings_are_refused(folder: Path) -> None:
    with pytest.raises(OptionError, match=r"prepared with size \[32, 48\]"):
        prepare([folder / "a"], folder / "out", size=(64, 48), shortest=4, longest=20, processes=1)
    with pytest.raises(OptionError, match="multiples of 16"):
        prepare([folder / "a"], folder / "other", size=(30, 48))
    with pytest.raises(OptionError, match="in order"):
        prepare([folder / "a"], folder / "other", shortest=9, longest=5)


def test_latents_are_the_autoencoders(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = LineVAE(LineVAEConfig(latent_channels=3, widths=(4, 6, 8, 8), blocks=1)).eval()
    write_network(tmp_path / "vae", net.config.to_dict(), net.state_dict())
    make(tmp_path / "out", folder / "a", latents=tmp_path / "vae")
    batch = PreparedClips(tmp_path / "out", frames=3).batch(2, 1)
    assert isinstance(batch, LatentClipBatch)
    assert batch.mean is not None
    assert batch.logvar is not None
    with torch.no_grad():
        expected = net.encode(2 * batch.color[0] - 1)
    torch.testing.assert_close(batch.mean[0], expected.mean, atol=0.02, rtol=0.02)
    torch.testing.assert_close(batch.logvar[0], expected.logvar, atol=0.02, rtol=0.02)
    resized = PreparedClips(tmp_path / "out", frames=3, size=(16, 32)).batch(2, 1)
    assert not isinstance(resized, LatentClipBatch)
    assert resized.color.shape[-2:] == (16, 32)
    with pytest.raises(WeightsError):
        make(tmp_path / "other", folder / "a", latents=tmp_path)


def test_any_webdataset_reader_reads_the_shards(folder: Path) -> None:
    tariterators = pytest.importorskip("webdataset.tariterators")
    (shard,) = (folder / "out/shards").glob("*.tar")
    with shard.open("rb") as file:
        samples = list(tariterators.group_by_keys(tariterators.tar_file_expander([{"url": "", "stream": file}])))
    assert len(samples) == 3
    about = json.loads(samples[1]["json"])
    assert about["frames"] == 9
    assert {f"{i:04d}.{kind}.png" for i in range(9) for kind in ("rgb", "line")} <= samples[1].keys()


def test_folders_that_hold_none_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="celpaint data prepare"):
        PreparedClips(tmp_path, frames=2)
    with pytest.raises(InputError, match=r"no shot .* has 50 frames"):
        PreparedClips(folder / "out", frames=50)
    shutil.copytree(folder / "out", tmp_path / "out")
    (shard,) = (tmp_path / "out/shards").glob("*.tar")
    shard.write_bytes(b"no tar")
    with pytest.raises(InputError, match="can't be read"):
        PreparedClips(tmp_path / "out", frames=2).batch(0, 1)
    shard.unlink()
    with pytest.raises(InputError, match="can't be read"):
        PreparedClips(tmp_path / "out", frames=2).batch(0, 1)
