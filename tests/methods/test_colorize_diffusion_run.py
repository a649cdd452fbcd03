"""ColorizeDiffusion v2 as a method: shots in, colored drawings out, and what is refused."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from celpaint import render
from celpaint.errors import InputError, OptionError, ReferenceFrameError, WeightsError
from celpaint.methods.colorize_diffusion.networks import Card, Networks
from celpaint.methods.colorize_diffusion.run import Canvas, ColorizeDiffusion
from celpaint.methods.colorize_diffusion.spec import (
    SPEC,
    ColorizeDiffusionOptions,
    SamplerName,
    ScheduleName,
)
from celpaint.methods.registry import load_method
from celpaint.sampling.samplers import SAMPLERS, SCHEDULES
from celpaint.types import Array, Event, Frame, Reference, Shot, StepDone
from shots import draw_line, make_shot, paint_key
from toy_colorize import TOY, toy_networks

SIZE = (64, 96)
CARD = Card(sampler="dpmpp_2m", steps=2, guidance=2.0, area=64 * 96)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights of the official kind at toy size."""
    out = tmp_path_factory.mktemp("colorize_diffusion")
    networks = toy_networks()
    replace(networks, card=CARD).save(out)
    return out


def method(folder: Path, **options: object) -> ColorizeDiffusion:
    loaded = load_method(ColorizeDiffusionOptions(weights=str(folder), device="cpu", **options))  # type: ignore[arg-type]
    assert isinstance(loaded, ColorizeDiffusion)
    return loaded


def lines(step: float, size: tuple[int, int] = SIZE) -> Array:
    return 1 - np.asarray(draw_line(step, size[::-1]), np.float32) / 255


def painting(step: float = 0, size: tuple[int, int] = SIZE) -> Array:
    return np.asarray(paint_key(step, size[::-1]), np.float32) / 255


def shot(length: int = 1, at: Sequence[int | None] = (None,), size: tuple[int, int] = SIZE) -> Shot:
    references = tuple(
        Reference(painting(i, size), lines(i, size), f, Frame(painting(i, (80, 70)))) for i, f in enumerate(at)
    )
    return Shot([lines(i, size) for i in range(length)], references, size)


def color(painter: ColorizeDiffusion, what: Shot) -> list[Array]:
    return [painted.rgb for chunk in painter.color(what) for painted in chunk.painted]


def test_options_offer_every_sampler_and_schedule() -> None:
    assert list(get_args(SamplerName)) == list(SAMPLERS)
    assert list(get_args(ScheduleName)) == list(SCHEDULES)


@pytest.mark.parametrize("mode", ["vanilla", "style", "background", "full"])
def test_drawings_come_back_colored(folder: Path, mode: str) -> None:
    (first,) = color(method(folder, mode=mode), shot())
    assert first.shape == (*SIZE, 3)
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 1
    assert first.std() > 0.01


def test_modes_differ(folder: Path) -> None:
    results = [color(method(folder, mode=mode), shot())[0] for mode in ("vanilla", "style", "background", "full")]
    for i, a in enumerate(results):
        for b in results[:i]:
            assert float(np.abs(a - b).max()) > 1e-3


def test_every_drawing_is_colored_by_itself(folder: Path) -> None:
    painter, what = method(folder), shot(3)
    together = color(painter, what)
    alone = color(painter, replace(what, lines=[what.lines[2]]))
    assert np.array_equal(together[2], alone[0])
    assert not np.array_equal(together[0], together[2])


def test_stopped_run_resumes_with_the_same_bytes(folder: Path) -> None:
    painter, what = method(folder, sampler="euler_ancestral"), shot(3)
    chunks = list(painter.color(what))
    assert [chunk.drawings for chunk in chunks] == [(0,), (1,), (2,)]
    (again,) = painter.color(what, done=2, state=chunks[1].state)
    assert np.array_equal(again.painted[0].rgb, chunks[2].painted[0].rgb)


def test_painted_drawings_stay_as_painted(folder: Path) -> None:
    what = shot(3, at=(0, 2))
    frames = color(method(folder), what)
    assert np.array_equal(frames[0], what.references[0].rgb)
    assert np.array_equal(frames[2], what.references[1].rgb)


def test_nearest_painting_is_the_reference(folder: Path) -> None:
    """The last of four drawings takes the painting of the third, not that of the first."""
    painter, what = method(folder, mode="vanilla"), shot(4, at=(0, 2))
    alone = replace(what, references=(replace(what.references[1], frame=None),))
    assert np.array_equal(color(painter, what)[3], color(painter, alone)[3])


def test_order_of_references_does_not_matter(folder: Path) -> None:
    what = shot(3, at=(0, 2))
    turned = replace(what, references=what.references[::-1])
    assert np.array_equal(color(method(folder), what)[1], color(method(folder), turned)[1])


def test_seed_decides(folder: Path) -> None:
    first, again, other = (color(method(folder, seed=seed), shot())[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_steps_are_counted_over_all_drawings(folder: Path) -> None:
    told: list[Event] = []
    list(method(folder).color(shot(2), progress=told.append))
    assert [(event.index, event.total) for event in told if isinstance(event, StepDone)] == [
        (1, 4),
        (2, 4),
        (3, 4),
        (4, 4),
    ]


def test_progress_may_stop_a_drawing(folder: Path) -> None:
    class Stop(Exception):
        pass

    def stop(event: Event, /) -> None:
        if isinstance(event, StepDone):
            raise Stop

    with pytest.raises(Stop):
        list(method(folder).color(shot(), progress=stop))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 3])
def test_every_sampler_colors(folder: Path, sampler: str, steps: int) -> None:
    (rgb,) = color(method(folder, mode="vanilla", sampler=sampler, steps=steps), shot())
    assert np.isfinite(rgb).all()


@pytest.mark.parametrize(
    "options",
    [
        {"reference_guidance": 1.0},
        {"sketch_guidance": 2.0},
        {"guidance_start": 0.5},
        {"guidance_end": 0.4},
        {"reference_strength": 0.3},
        {"encoder_scale": 0.3},
        {"semantics_scale": 0.3},
        {"layer_scales": (0.5, 0.5, 0.5, 0.0)},
        {"foreground_strength": 0.2},
        {"background_strength": 0.2},
        {"background_factor": 2.0},
        {"merging_scale": 0.5},
        {"sketch_strength": 0.5},
        {"figure_threshold": 0.99},
        {"reference_threshold": 1.0},
        {"reference_padding": 1.5},
        {"attention_injection": True},
        {"schedule": "karras"},
        {"preview": True},
        {"size": (128, 128)},
    ],
)
def test_every_option_has_an_effect(folder: Path, options: dict[str, object]) -> None:
    """But of ``color_scale``: the toy network has no fine layers with cross-attention."""
    what = shot()
    masked = replace(what.references[0], picture=_masked(what.references[0].picture))
    base = replace(what, alpha=[np.tile(np.linspace(0, 1, 96, dtype=np.float32), (64, 1))], references=(masked,))
    plain, changed = (color(method(folder, **each), base)[0] for each in ({}, options))
    assert plain.shape != changed.shape or float(np.abs(plain - changed).max()) > 1e-4


def _masked(picture: Frame | None) -> Frame:
    """With an alpha channel that falls from left to right."""
    assert picture is not None
    return replace(picture, alpha=np.tile(np.linspace(1, 0, picture.size[1], dtype=np.float32), (picture.size[0], 1)))


@pytest.mark.parametrize("size", [(33, 200), (201, 37), (7, 9)])
def test_any_width_and_height(folder: Path, size: tuple[int, int]) -> None:
    (rgb,) = color(method(folder), shot(size=size))
    ratio = (rgb.shape[1] / rgb.shape[0]) / (size[1] / size[0])
    assert ratio == pytest.approx(1, abs=0.1)


class TestCanvas:
    """How drawings are brought to the networks' size."""

    def test_wide_drawing_lies_between_bars_of_paper(self) -> None:
        canvas = Canvas.choose((50, 100), (96, 96), 0, 32)
        assert canvas.size == (96, 96)
        assert canvas.box == (24, 0, 48, 96)
        entered = canvas.enter(np.ones((50, 100), np.float32), 0.0)
        assert float(entered.sum()) == 48 * 96

    def test_sides_are_multiples_of_the_unit(self) -> None:
        assert Canvas.choose((1080, 1920), None, 192 * 320, 32).size == (192, 320)
        assert Canvas.choose((100, 100), (70, 90), 0, 32).size == (96, 96)

    def test_no_level_of_the_network_has_a_single_place(self) -> None:
        assert Canvas.choose((100, 100), (32, 32), 0, 64).size == (128, 128)
        assert Canvas.choose((10, 1000), None, 64 * 64, 64).size == (128, 640)

    def test_result_is_the_part_with_the_drawing(self) -> None:
        canvas = Canvas.choose((50, 100), (96, 96), 0, 32)
        rgb = torch.full((1, 3, 96, 96), -1.0)
        rgb[..., 24:72, :] = 1
        left = canvas.leave(rgb)
        assert left.shape == (48, 96, 3)
        assert (left == 1).all()


def test_preview_takes_one_step_from_the_highest_level(folder: Path) -> None:
    painter = method(folder, preview=True, steps=7, sampler="dpmpp_sde")
    assert painter.sigmas == (painter.levels.sigma_max, 0.0)


def test_references_are_shown_at_their_own_size_or_fitted(folder: Path) -> None:
    own = method(folder)
    canvas = Canvas.choose(SIZE, None, CARD.area, own.unit)
    reference = shot().references[0]
    assert own._reference(reference, SIZE, canvas)[0].shape == (1, 3, 80, 70)
    fitted = ColorizeDiffusion(
        replace(own.networks, card=replace(CARD, reference_fit="drawing")), own.options, torch.device("cpu")
    )
    rgb, mask = fitted._reference(reference, SIZE, canvas)
    assert rgb.shape == (1, 3, *canvas.size)
    assert mask is not None
    assert mask.shape == (1, 1, *canvas.size)


# -- masks --------------------------------------------------------------------------------------------------------


def saved(path: Path, mask: Array) -> str:
    Image.fromarray((255 * mask).astype(np.uint8)).save(path)
    return str(path)


def half(size: tuple[int, int], left: bool = True) -> Array:
    mask = np.zeros(size, np.float32)
    mask[:, : size[1] // 2] = 1
    return mask if left else 1 - mask


def test_given_mask_decides_where_the_figure_is(folder: Path, tmp_path: Path) -> None:
    left, right = (saved(tmp_path / f"{side}.png", half(SIZE, side)) for side in (True, False))
    a, b = (color(method(folder, mask=mask), shot())[0] for mask in (left, right))
    assert not np.allclose(a, b, atol=1e-3)


def test_masks_of_several_drawings_come_from_a_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    saved(tmp_path / "masks" / "m_1.png", half(SIZE))
    other = saved(tmp_path / "masks" / "m_2.png", half(SIZE, False))
    what = replace(shot(2), lines=[lines(0)] * 2)
    first, second = color(method(folder, mask=str(tmp_path / "masks")), what)
    assert not np.allclose(first, second, atol=1e-3)
    (alone,) = color(method(folder, mask=other), replace(what, lines=[lines(0)]))
    assert np.array_equal(alone, second)


def test_alpha_of_the_drawing_is_its_mask(folder: Path, tmp_path: Path) -> None:
    given = color(method(folder, mask=saved(tmp_path / "m.png", half(SIZE))), shot())
    cut_out = color(method(folder), replace(shot(), alpha=[half(SIZE)]))
    assert np.array_equal(given[0], cut_out[0])
    opaque = color(method(folder), replace(shot(), alpha=[np.ones(SIZE, np.float32)]))
    assert np.array_equal(opaque[0], color(method(folder), shot())[0])


def test_alpha_of_the_reference_is_its_mask(folder: Path, tmp_path: Path) -> None:
    what = shot()
    given = color(method(folder, reference_mask=saved(tmp_path / "m.png", half((80, 70)))), what)
    reference = what.references[0]
    assert reference.picture is not None
    picture = replace(reference.picture, alpha=half((80, 70)))
    white = np.where(half((80, 70))[..., None] > 0, picture.rgb, 1)  # what is cut out shows as paper
    alone = replace(what, references=(replace(reference, picture=Frame(white)),))
    again = color(method(folder, reference_mask=str(tmp_path / "m.png")), alone)
    cut_out = color(method(folder), replace(what, references=(replace(reference, picture=picture),)))
    assert np.array_equal(cut_out[0], again[0])
    assert not np.array_equal(cut_out[0], given[0])


@pytest.mark.parametrize("name", ["mask", "reference_mask"])
def test_empty_mask_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    empty = saved(tmp_path / "empty.png", np.zeros(SIZE, np.float32))
    with pytest.raises(InputError, match=r"empty.png' is empty; wanted white, or opaque, where the figure is"):
        color(method(folder, **{name: empty}), shot())


def test_mask_of_another_size_is_refused(folder: Path, tmp_path: Path) -> None:
    mask = saved(tmp_path / "m.png", half((30, 40)))
    with pytest.raises(InputError, match=r"m.png' is 40x30, the drawing 96x64"):
        color(method(folder, mask=mask), shot())
    with pytest.raises(InputError, match=r"m.png' is 40x30, the reference 70x80"):
        color(method(folder, reference_mask=mask), shot())


def test_one_mask_for_two_drawings_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 mask for 2 drawings; wanted one for each drawing"):
        color(method(folder, mask=saved(tmp_path / "m.png", half(SIZE))), shot(2))


def test_missing_mask_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"m.png' does not exist"):
        method(folder, reference_mask=str(tmp_path / "m.png"))


def test_reference_without_a_figure_colors_the_background(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    what = shot()
    plain = replace(what.references[0], picture=Frame(np.full((80, 70, 3), [0.3, 0.5, 0.8], np.float32)))
    with caplog.at_level(logging.WARNING, "celpaint"):
        (rgb,) = color(method(folder), replace(what, references=(plain,)))
    assert "no figure is found in the reference" in caplog.text
    assert "--reference-mask" in caplog.text
    assert np.isfinite(rgb).all()


def test_drawing_without_a_figure_is_background(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "celpaint"):
        (rgb,) = color(method(folder), replace(shot(), lines=[np.zeros(SIZE, np.float32)]))
    assert "the lines enclose no figure" in caplog.text
    assert np.isfinite(rgb).all()


def test_background_picture_colors_the_background(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (90, 60), (200, 30, 30)).save(tmp_path / "sky.png")
    mask = saved(tmp_path / "m.png", half((60, 90)))
    sky = str(tmp_path / "sky.png")
    plain, behind, cut = (
        color(method(folder, **options), shot())[0]
        for options in ({}, {"background": sky}, {"background": sky, "background_mask": mask})
    )
    assert not np.allclose(plain, behind, atol=1e-4)
    assert not np.allclose(behind, cut, atol=1e-5)


# -- what is refused ----------------------------------------------------------------------------------------------


def test_swapped_sketch_and_reference_are_refused(folder: Path, tmp_path: Path) -> None:
    paint_key().save(tmp_path / "drawing.png")
    draw_line(0).save(tmp_path / "style.png")
    with pytest.raises(InputError, match=r"the drawing is a painting and the reference is line art.*Swap the two"):
        render(
            tmp_path / "drawing.png",
            tmp_path / "out.png",
            reference=f"{tmp_path / 'style.png'}@none",
            method="colorize-diffusion",
            weights=str(folder),
        )
    assert not (tmp_path / "out.png").exists()


def test_line_art_as_reference_is_warned_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    what = shot()
    gray = replace(what.references[0], picture=Frame(np.repeat(1 - lines(0)[..., None], 3, axis=2)))
    with caplog.at_level(logging.WARNING, "celpaint"):
        color(method(folder), replace(what, references=(gray,)))
    assert "looks like line art" in caplog.text


def test_several_references_for_no_frame_are_refused(folder: Path) -> None:
    with pytest.raises(ReferenceFrameError, match="2 references are given, 2 of them for no frame"):
        color(method(folder), shot(1, at=(None, None)))
    with pytest.raises(ReferenceFrameError, match="1 of them for no frame"):
        color(method(folder), shot(2, at=(0, None)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"guidance_start": 0.6, "guidance_end": 0.5}, "a start before the end"),
        ({"background_mask": "m.png"}, "without --background"),
        ({"mode": "vanilla", "background": "b.png"}, "no effect with --mode vanilla"),
        ({"mode": "style", "mask": "m.png"}, "--mask has no effect with --mode style"),
        ({"mode": "vanilla", "reference_mask": "m.png"}, "--reference-mask has no effect"),
        ({"reference_guidance": 16.0}, "1 to 15"),
        ({"layer_scales": (0.5, 1.5)}, "0 to 1"),
    ],
)
def test_options_without_effect_or_out_of_range_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        ColorizeDiffusionOptions(**options)  # type: ignore[arg-type]


def test_layer_scales_may_be_text() -> None:
    assert ColorizeDiffusionOptions.of({"layer_scales": "1,0.5, 0"}).layer_scales == (1.0, 0.5, 0.0)
    with pytest.raises(OptionError, match="numbers with commas"):
        ColorizeDiffusionOptions.of({"layer_scales": "1;2"})


def test_wrong_number_of_layer_scales_is_refused(folder: Path) -> None:
    with pytest.raises(OptionError, match="--layer-scales with these weights: 3 layer scales, wanted 4"):
        method(folder, layer_scales=(1.0, 1.0, 1.0))


def test_official_behavior_needs_the_official_network(folder: Path) -> None:
    with pytest.raises(OptionError, match=r"--match-official with these weights: .* layers, wanted 16"):
        method(folder, match_official=True)


def test_official_behavior_may_be_had() -> None:
    config = replace(TOY, widths=(32,) * 4, layers=2, attention=(True, True, True, False))
    networks = replace(toy_networks(config), card=replace(CARD, area=64 * 64))
    official, intended = (
        ColorizeDiffusion(networks, ColorizeDiffusionOptions(match_official=each), torch.device("cpu"))
        for each in (True, False)
    )
    results = [color(each, shot())[0] for each in (official, official, intended)]
    assert np.array_equal(results[0], results[1])
    assert not np.allclose(results[0], results[2], atol=1e-3)


def test_missing_packaged_weights_are_told_how_to_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celpaint.weights.registry.packaged", dict)
    with pytest.raises(WeightsError) as error:
        load_method(ColorizeDiffusionOptions())
    assert "celpaint train colorize_diffusion_small" in error.value.todo
    assert "celpaint weights convert --colorize-diffusion" in error.value.todo


def test_folder_without_the_image_tower_says_what_to_fetch(folder: Path, tmp_path: Path) -> None:
    toy_networks().save(tmp_path / "w", only=("unet", "sketch_encoder", "background_encoder", "style_encoder", "vae"))
    with pytest.raises(WeightsError, match="no image_encoder") as error:
        method(tmp_path / "w")
    assert "laion/CLIP-ViT-H-14-laion2B-s32B-b79K" in error.value.todo
    assert "--clip open_clip_model.safetensors" in error.value.todo


def test_own_weights_are_not_under_the_official_license(folder: Path) -> None:
    kind = SPEC.weights
    assert kind is not None
    assert kind.license is not None
    assert kind.license(folder) == "none stated"


def test_text_is_refused(folder: Path, tmp_path: Path) -> None:
    draw_line(0).save(tmp_path / "drawing.png")
    paint_key().save(tmp_path / "style.png")
    with pytest.raises(OptionError, match="does not use a description"):
        render(
            tmp_path / "drawing.png",
            tmp_path / "out.png",
            reference=f"{tmp_path / 'style.png'}@none",
            text="red hair",
            method="colorize-diffusion",
            weights=str(folder),
        )


# -- the whole path -----------------------------------------------------------------------------------------------


def test_one_drawing_from_a_reference_of_another_size(folder: Path, tmp_path: Path) -> None:
    draw_line(0).save(tmp_path / "drawing.png")
    paint_key(2, (120, 50)).save(tmp_path / "style.png")
    summary = render(
        tmp_path / "drawing.png",
        tmp_path / "out.png",
        reference=f"{tmp_path / 'style.png'}@none",
        method="colorize-diffusion",
        weights=str(folder),
    )
    assert summary.method == "colorize-diffusion"
    result = np.asarray(Image.open(tmp_path / "out.png").convert("RGB"), np.float32) / 255
    assert result.shape == (64, 96, 3)
    inked = np.asarray(draw_line(0)) == 0
    assert (result[inked] < 0.1).all()  # the artist's own lines


def test_changed_mask_begins_anew(folder: Path, tmp_path: Path) -> None:
    """A run that was stopped is not resumed with another mask under the same name."""
    lines_folder, key = make_shot(tmp_path, 2)
    masks = tmp_path / "masks"
    masks.mkdir()
    for i in (1, 2):
        saved(masks / f"m_{i}.png", half(SIZE))
    options = ColorizeDiffusionOptions(weights=str(folder), mask=str(masks), device="cpu")
    assert options.files() == (masks / "m_1.png", masks / "m_2.png")

    class Stop(Exception):
        pass

    def stop(event: Event, /) -> None:
        if isinstance(event, StepDone) and event.index > 2:
            raise Stop

    def run(out: Path, **more: object) -> int:
        return render(lines_folder, out, reference=f"{key}@none", method=options, holds="off", **more).resumed  # type: ignore[arg-type]

    for out, changed, resumed in ((tmp_path / "a", False, 1), (tmp_path / "b", True, 0)):
        with pytest.raises(Stop):
            run(out, progress=stop)
        if changed:
            saved(masks / "m_1.png", half(SIZE, False))
            saved(masks / "m_2.png", half(SIZE, False))
        assert run(out) == resumed


def test_mask_may_be_drawn_with_transparency(folder: Path, tmp_path: Path) -> None:
    picture = Image.new("RGBA", SIZE[::-1], (0, 0, 0, 0))
    ImageDraw.Draw(picture).rectangle([0, 0, SIZE[1] // 2 - 1, SIZE[0]], fill=(0, 0, 0, 255))
    picture.save(tmp_path / "a.png")
    drawn = color(method(folder, mask=str(tmp_path / "a.png")), shot())
    toned = color(method(folder, mask=saved(tmp_path / "b.png", half(SIZE))), shot())
    assert np.array_equal(drawn[0], toned[0])


def test_networks_may_wait_in_main_memory(folder: Path) -> None:
    painter = method(folder, offload=True)
    assert np.array_equal(color(painter, shot())[0], color(method(folder), shot())[0])
    assert {p.device.type for part in _parts(painter.networks) for p in part.parameters()} == {"cpu"}


def _parts(networks: Networks) -> tuple[torch.nn.Module, ...]:
    return networks.unet, networks.sketch_encoder, networks.background_encoder, networks.style_encoder


@pytest.mark.parametrize("mode", ["vanilla", "full"])
def test_networks_run_in_half_precision(folder: Path, mode: str) -> None:
    exact, half_precision = (
        color(method(folder, mode=mode, dtype=dtype), shot())[0] for dtype in ("float32", "bfloat16")
    )
    assert not np.array_equal(exact, half_precision)
    assert float(np.abs(exact - half_precision).mean()) < 0.1 * float(exact.std())
