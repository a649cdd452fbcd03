from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import overload

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLTemporalDecoder
from hypothesis import given, settings
from hypothesis import strategies as st

from celpaint.errors import OptionError, WeightsError
from celpaint.finish.size import to_size
from celpaint.methods.base import Method
from celpaint.methods.lvcd.run import KEPT_LINES, LVCD, Fit
from celpaint.methods.lvcd.spec import LVCDOptions
from celpaint.methods.lvcd.weights import Card, Networks
from celpaint.methods.registry import load_method
from celpaint.models.image_encoder import ClipEmbedding, LatentEmbedding
from celpaint.models.lvcd.controlnet import ControlNet
from celpaint.models.lvcd.unet import UNet
from celpaint.models.vae import LineCodec, VideoVAE, first_stage_encoder
from celpaint.types import Array, Chunk, ColorizedFrame, Event, Progress, Reference, Shot, State, StepDone, silent
from toy import toy_config, toy_controlnet, toy_line_vae

SIZE = (50, 90)
CARD = Card(steps=2, area=48 * 64, sigma_max=20.0)


def denoiser() -> tuple[UNet, ControlNet]:
    """Both halves, the ControlNet's zeros replaced so that line art counts."""
    torch.manual_seed(0)
    unet = UNet(toy_config())
    control = toy_controlnet(unet)
    for parameter in control.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return unet, control


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the small kind at toy size."""
    unet, control = denoiser()
    vae = toy_line_vae()
    out = tmp_path_factory.mktemp("lvcd")
    Networks(unet, control, LineCodec(vae), LatentEmbedding(4, 16), CARD).save(out)
    return out


def method(folder: Path, **options: object) -> LVCD:
    loaded = load_method(LVCDOptions(weights=str(folder), device="cpu", **options))  # type: ignore[arg-type]
    assert isinstance(loaded, LVCD)
    return loaded


def drawing(index: int, size: tuple[int, int] = SIZE) -> Array:
    """A slanted line that moves."""
    y, x = np.mgrid[: size[0], : size[1]]
    line: Array = np.clip(1.5 - np.abs(y - 0.5 * x - index % 20), 0, 1).astype(np.float32)
    return line


def painting(seed: int, size: tuple[int, int] = SIZE) -> Array:
    rgb: Array = np.random.default_rng(seed).random((*size, 3)).astype(np.float32)
    return rgb


def shot(length: int, at: Sequence[int | None] = (0,), size: tuple[int, int] = SIZE) -> Shot:
    references = tuple(Reference(painting(i, size), drawing(f or 0, size), f) for i, f in enumerate(at))
    return Shot([drawing(i, size) for i in range(length)], references, size)


def color(painter: LVCD, what: Shot) -> list[Array]:
    return [painted.rgb for chunk in painter.color(what) for painted in chunk.painted]


def same(a: list[Array], b: list[Array]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("at", [(0,), (None,), (3,), (0, 9), (None, 5)])
@pytest.mark.parametrize("length", [10, 31])
def test_every_drawing_comes_back(folder: Path, length: int, at: tuple[int | None, ...]) -> None:
    frames = color(method(folder), what := shot(length, at))
    assert len(frames) == length
    for frame in frames:
        assert frame.dtype == np.float32
        assert frame.min() >= 0
        assert frame.max() <= 1
    for reference in what.references:
        if reference.frame is not None:
            assert np.array_equal(frames[reference.frame], reference.rgb)


@pytest.mark.parametrize(("length", "at"), [(1, 0), (1, None), (2, 0), (14, None), (15, 0), (16, 0)])
def test_short_shots(folder: Path, length: int, at: int | None) -> None:
    assert len(color(method(folder), shot(length, (at,)))) == length


@pytest.mark.parametrize("size", [(33, 200), (201, 37), (64, 64), (7, 9)])
def test_any_width_and_height(folder: Path, size: tuple[int, int]) -> None:
    reference, *frames = color(method(folder), shot(3, size=size))
    assert reference.shape == (*size, 3)
    work = Fit.choose(size, LVCDOptions(), CARD.area, 8).work
    assert [f.shape for f in frames] == [(*work, 3)] * 2


@pytest.mark.parametrize(
    "options",
    [{}, {"overlap": 0}, {"overlap": 12}, {"guidance": 3.0}, {"match_official": True}, {"prev_reference_ratio": 0.5}],
)
def test_a_stopped_run_goes_on_to_the_same_bytes(folder: Path, options: dict[str, object]) -> None:
    painter, what = method(folder, **options), shot(24)
    chunks = list(painter.color(what))
    assert [c.drawings[0] for c in chunks] == np.cumsum([0, *(len(c.painted) for c in chunks)])[:-1].tolist()
    assert len(chunks) > 1
    whole = [painted.rgb for chunk in chunks for painted in chunk.painted]
    middle = len(chunks) // 2
    state = {name: np.array(array) for name, array in chunks[middle - 1].state.items()}
    again = painter.color(what, done=chunks[middle].drawings[0], state=state)
    assert same([painted.rgb for chunk in again for painted in chunk.painted], whole[chunks[middle].drawings[0] :])


def test_state_does_not_grow(folder: Path) -> None:
    sizes = [sum(a.nbytes for a in chunk.state.values()) for chunk in method(folder).color(shot(70))]
    assert len(sizes) > 4
    assert max(sizes) < 1.5 * min(sizes)


def test_seed_decides(folder: Path) -> None:
    what = shot(3)
    first = color(method(folder, seed=1), what)
    assert same(first, color(method(folder, seed=1), what))
    assert not same(first, color(method(folder, seed=2), what))


@pytest.mark.parametrize(
    "options",
    [
        {"guidance": 2.0},
        {"prev_reference_ratio": 0.0},
        {"prev_reference_scale": 1.0},
        {"overlap": 6},
        {"steps": 3},
        {"match_official": True},
    ],
)
def test_options_reach_the_later_segments(folder: Path, options: dict[str, object]) -> None:
    what = shot(20)
    plain, other = color(method(folder), what), color(method(folder, **options), what)
    assert np.abs(plain[-1] - other[-1]).max() > 1e-6


def test_colors_follow_the_reference_and_the_lines(folder: Path) -> None:
    painter, what = method(folder), shot(3)
    plain = color(painter, what)
    repainted = replace(what, references=(replace(what.references[0], rgb=1 - what.references[0].rgb),))
    redrawn = replace(what, lines=[line[::-1].copy() for line in what.lines])
    for other in (repainted, redrawn):
        assert np.abs(plain[2] - color(painter, other)[2]).max() > 1e-6


def test_painted_frames_guide_their_neighbors(folder: Path) -> None:
    painter = method(folder)
    one, two = color(painter, shot(10)), color(painter, shot(10, (0, 6)))
    assert np.abs(one[5] - two[5]).max() > 1e-6


def test_preview_is_one_step(folder: Path) -> None:
    told: list[Event] = []
    for _ in method(folder, preview=True).color(shot(4), progress=told.append):
        pass
    assert [e for e in told if e.stage == "step"] == [StepDone(1, 1)]


def test_progress_tells_segments_steps_and_frames(folder: Path) -> None:
    told: list[Event] = []
    for _ in method(folder).color(shot(30), progress=told.append):
        pass
    assert [e.index for e in told if e.stage == "segment"] == [1, 2, 3]
    assert [e.index for e in told if e.stage == "step"] == list(range(1, 7))
    assert [e.index for e in told if e.stage == "frame"] == list(range(1, 31))
    assert {e.total for e in told if e.stage == "frame"} == {30}


def test_size_option_is_the_working_size(folder: Path) -> None:
    what = shot(2)
    assert not same(color(method(folder, size=(32, 64)), what), color(method(folder, size=(64, 96)), what))


class Reel(Sequence[Array]):
    """Line maps that say when they were read."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.reads: list[int] = []

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Array]: ...
    def __getitem__(self, index: int | slice) -> Array | Sequence[Array]:
        assert isinstance(index, int)
        self.reads.append(index)
        return drawing(index)


def test_lines_are_read_once_in_order_and_not_ahead(folder: Path) -> None:
    reel = Reel(60)
    ahead: list[int] = []
    for chunk in method(folder).color(Shot(reel, shot(1).references, SIZE)):
        ahead.append(max(reel.reads) - chunk.drawings[0])
    assert reel.reads == list(range(1, 60))
    assert max(ahead) < KEPT_LINES


def test_references_are_encoded_once(folder: Path) -> None:
    painter = method(folder)
    calls: list[int] = []
    assert isinstance(painter.networks.codec, LineCodec)
    painter.networks.codec.vae.encoder.register_forward_hook(lambda module, args, out: calls.append(len(args[0])))
    color(painter, shot(40, (0, 20)))
    assert calls == [1, 1]


# -- drafts -----------------------------------------------------------------------------------------------------------


def drafted(folder: Path, seed: int, sigma: float) -> LVCD:
    """A run that starts from another run's frames."""
    painter = method(folder, seed=seed, draft_sigma=sigma)
    return LVCD(painter.networks, painter.options, painter.device, painter.dtype, drafter=method(folder, seed=9))


def test_a_draft_decides_where_little_noise_is_added(folder: Path) -> None:
    what = shot(20)
    near, other, noise = (color(drafted(folder, seed, s), what) for seed, s in ((1, 3e-3), (2, 3e-3), (2, 20.0)))
    assert np.abs(near[-1] - other[-1]).max() < np.abs(near[-1] - noise[-1]).max() / 5


def test_a_drafted_run_resumes(folder: Path) -> None:
    painter, what = drafted(folder, 1, 5.0), shot(30)
    first, second, *_ = painter.color(what)
    again = next(iter(painter.color(what, done=second.drawings[0], state=first.state)))
    assert same([p.rgb for p in again.painted], [p.rgb for p in second.painted])


def test_a_drafted_schedule_begins_at_the_drafts_level(folder: Path) -> None:
    painter = drafted(folder, 1, 5.0)
    assert len(painter.sigmas) == len(method(folder, seed=1).sigmas)
    assert painter.sigmas[0] == pytest.approx(5.0)


class Flat(Method):
    """Colors every drawing alike."""

    def color(
        self, shot: Shot, *, start: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        gray = np.full((*shot.size, 3), 0.3, np.float32)
        yield Chunk(tuple(range(len(shot))), tuple(ColorizedFrame(gray) for _ in range(len(shot))))


def refining(folder: Path, tmp_path: Path, **options: object) -> LVCD:
    """Networks that refine a draft, and don't yet know how."""
    networks = method(folder).networks
    torch.nn.init.zeros_(networks.unet.conv_out.weight)
    torch.nn.init.zeros_(networks.unet.conv_out.bias)
    replace(networks, card=replace(CARD, draft_spread=0.1, draft_sigma=5.0)).save(tmp_path)
    return method(tmp_path, dtype="float32", **options)


def test_refining_begins_with_the_draft(folder: Path, tmp_path: Path) -> None:
    painter = refining(folder, tmp_path, preview=True)
    assert painter.drafter is not None
    assert painter.sigmas == pytest.approx((5.0, 0.0))
    painter.drafter = Flat()
    what = shot(20, (None,))
    fit = Fit.choose(what.size, painter.options, CARD.area, 8)
    gray = fit.leave(fit.enter(np.full((*what.size, 3), 0.3, np.float32), "replicate")[0] * 2 - 1)
    for frame in color(painter, what):
        assert np.abs(frame - gray).mean() < 0.02


def test_refining_leaves_what_the_draft_is_sure_of(folder: Path, tmp_path: Path) -> None:
    class Sure(Flat):
        def color(self, shot: Shot, **_: object) -> Iterator[Chunk]:
            for chunk in super().color(shot):
                half = np.zeros(shot.size, np.float32)
                half[:, : shot.size[1] // 2] = 1
                yield Chunk(chunk.drawings, tuple(ColorizedFrame(p.rgb, half) for p in chunk.painted))

    painter = refining(folder, tmp_path)
    painter.drafter = Sure()
    frame = color(painter, shot(3, (None,)))[1]
    sure, unsure = frame[:, : frame.shape[1] // 2 - 2], frame[:, frame.shape[1] // 2 + 2 :]
    assert np.abs(sure - 0.3).max() < 1e-5
    assert np.abs(unsure - 0.3).max() > 1e-3


def test_a_refining_run_resumes(folder: Path, tmp_path: Path) -> None:
    painter, what = refining(folder, tmp_path), shot(44)
    painter.drafter = method(folder, seed=9)
    chunks = list(painter.color(what))
    for done, rest in pairwise(chunks):
        again = next(iter(painter.color(what, done=rest.drawings[0], state=done.state)))
        assert same([p.rgb for p in again.painted], [p.rgb for p in rest.painted])


def test_weights_that_refine_want_a_draft(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--draft none"):
        refining(folder, tmp_path, draft="none")


def test_the_packaged_weights_refine_the_matchers_draft() -> None:
    lines = [drawing(i, (96, 160)) for i in range(3)]
    key = np.where(lines[0][..., None] > 0.5, 0.0, np.array([0.9, 0.5, 0.2])).astype(np.float32)
    what = Shot(lines, (Reference(key, lines[0], 0),), (96, 160))
    painter = load_method(LVCDOptions(device="cpu", size=(96, 160)))
    assert isinstance(painter, LVCD)
    assert painter.drafter is not None
    drafts = [painted.rgb for chunk in painter.drafter.color(what) for painted in chunk.painted]
    first, *frames = color(painter, what)
    assert np.array_equal(first, key)
    assert 0 < np.abs(np.stack(frames) - np.stack(drafts[1:])).mean() < 0.1


# -- size -------------------------------------------------------------------------------------------------------------


@given(st.integers(16, 4000), st.integers(16, 4000))
def test_working_size_keeps_the_aspect(height: int, width: int) -> None:
    fit = Fit.choose((height, width), LVCDOptions(), 576 * 320, 8)
    assert fit.latents[0] * 8 - fit.work[0] in range(8)
    assert fit.latents[1] * 8 - fit.work[1] in range(8)
    if 1 / 8 < width / height < 8:
        assert abs(fit.work[1] / fit.work[0] / (width / height) - 1) < 0.05
        assert abs(fit.work[0] * fit.work[1] / (576 * 320) - 1) < 0.05


@settings(deadline=None, max_examples=25)
@given(st.integers(20, 90), st.integers(20, 90))
def test_a_picture_survives_the_way_in_and_out(height: int, width: int) -> None:
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([y / height, x / width, np.full((height, width), 0.5)], -1).astype(np.float32)
    fit = Fit.choose((height, width), LVCDOptions(), 64 * 64, 8)
    back = to_size(fit.leave(fit.enter(rgb, "replicate")[0] * 2 - 1), (height, width))
    assert back.shape == rgb.shape
    assert np.abs(back - rgb).max() < 0.06


def test_a_shot_of_the_working_size_is_not_resampled() -> None:
    fit = Fit((40, 44), (40, 44), 8)
    rgb = painting(0, (40, 44))
    assert fit.enter(rgb, "replicate").shape == (1, 3, 40, 48)
    np.testing.assert_allclose(fit.leave(fit.enter(rgb, "replicate")[0] * 2 - 1), rgb, atol=1e-6)


def test_paper_is_put_around_lines() -> None:
    lines = Fit((40, 44), (40, 44), 8).enter(np.ones((40, 44), np.float32), "constant")
    assert not lines[..., 44:].any()
    assert lines[..., :44].all()


# -- weights ----------------------------------------------------------------------------------------------------------


def test_saved_weights_load_to_the_same_networks(folder: Path, tmp_path: Path) -> None:
    first = Networks.load(folder)
    first.save(tmp_path)
    second = Networks.load(tmp_path)
    assert second.card == CARD
    for part in ("unet", "controlnet", "codec", "embed"):
        a, b = (getattr(n, part).state_dict() for n in (first, second))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a)
    assert not any(p.is_meta for p in second.unet.parameters())


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Iterator[Path]:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.mark.parametrize("own_encoder", [False, True])
def test_stable_video_diffusions_parts_load(copy: Path, own_encoder: bool) -> None:
    """A public VAE and CLIP, without a card."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    vae = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=(32,) * 4, layers_per_block=1
    )
    clip = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=28,
            patch_size=14,
            projection_dim=16,
        )
    )
    first = Networks.load(copy)
    own = first_stage_encoder(vae.config) if own_encoder else None
    for part in ("line_vae", "image_encoder"):
        shutil.rmtree(copy / part)
    (copy / "model_index.json").unlink()
    Networks(first.unet, first.controlnet, VideoVAE(vae, own), ClipEmbedding(clip)).save(copy)
    (copy / "model_index.json").write_text(json.dumps({"_class_name": "StableVideoDiffusionPipeline"}))
    loaded = Networks.load(copy)
    assert loaded.card == Card()
    assert isinstance(loaded.codec, VideoVAE)
    assert (loaded.codec.first_stage is not None) is own_encoder
    for faithful in (False, True):
        painter = method(copy, size=(48, 64), steps=1, match_official=faithful)
        assert len(color(painter, shot(3))) == 3


def test_half_precision_copies_beside_the_weights_are_left_alone(copy: Path) -> None:
    half = copy / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    half.write_bytes(b"of no concern")
    Networks.load(copy)
    full = copy / "unet" / "diffusion_pytorch_model.safetensors"
    full.replace(half)
    Networks.load(copy)


def test_offloading_changes_nothing(folder: Path) -> None:
    what = shot(3)
    assert same(color(method(folder), what), color(method(folder, offload=True), what))


def test_a_missing_package_is_named_with_its_extra() -> None:
    code = (
        "import sys; sys.modules['diffusers'] = None\n"
        "from celpaint.errors import MissingExtra\n"
        "try:\n    import celpaint.methods.lvcd.run\n"
        "except MissingExtra as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'diffusers'" in said
    assert "pip install 'celpaint[diffusion]'" in said


def test_no_controlnet_means_no_lvcd(copy: Path) -> None:
    shutil.rmtree(copy / "controlnet")
    with pytest.raises(WeightsError, match=r"no ControlNet.*celpaint weights convert"):
        Networks.load(copy)


@pytest.mark.parametrize("part", ["unet", "line_vae", "image_encoder"])
def test_a_missing_part_is_named(copy: Path, part: str) -> None:
    shutil.rmtree(copy / part)
    with pytest.raises(WeightsError, match="vae" if part == "line_vae" else part):
        Networks.load(copy)


def test_parts_of_different_sizes_are_refused(copy: Path) -> None:
    unet, control = denoiser()
    other = UNet(toy_config(cross_attention_dim=24))
    vae = toy_line_vae(6)
    Networks(other, control, LineCodec(vae), LatentEmbedding(4, 16), CARD).save(copy)
    with pytest.raises(WeightsError, match="differ in size"):
        Networks.load(copy)
    Networks(unet, control, LineCodec(vae), LatentEmbedding(4, 16), CARD).save(copy)
    with pytest.raises(WeightsError, match="6 channels"):
        Networks.load(copy)


def test_config_of_another_network_is_refused(copy: Path) -> None:
    config = json.loads((copy / "unet" / "config.json").read_text())
    (copy / "unet" / "config.json").write_text(json.dumps(config | {"block_out_channels": [30, 32]}))
    with pytest.raises(WeightsError, match="multiple of 32"):
        Networks.load(copy)


@pytest.mark.parametrize(
    ("card", "message"),
    [("{", "can't be read"), ('{"solver": "heun"}', "heun.*euler or dpmpp_2m"), ('{"micro": [1]}', "1 micro")],
)
def test_a_broken_card_is_refused(copy: Path, card: str, message: str) -> None:
    (copy / "model_index.json").write_text(card)
    with pytest.raises(WeightsError, match=message):
        Networks.load(copy)


def test_faithful_knows_one_reference(folder: Path) -> None:
    with pytest.raises(OptionError, match="2 references"):
        color(method(folder, match_official=True), shot(4, (0, 2)))


def test_painted_frames_have_no_confidence(folder: Path) -> None:
    chunk = next(iter(method(folder).color(shot(2))))
    assert all(isinstance(p, ColorizedFrame) and p.confidence is None for p in chunk.painted)
