"""The synthesizer: what it says about its pixels is true."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from celpaint.data.clips import ClipBatch
from celpaint.data.synthetic import HANDS, Art, ClipSpec, Synthesizer, toy_art, validation_clips
from celpaint.data.synthetic.art import COLORS, LINE, deflate, flat_lines
from celpaint.data.synthetic.lines import gaussian_blur
from celpaint.data.synthetic.puppets import Puppet
from celpaint.errors import InputError, OptionError

SMALL = ClipSpec(height=64, width=96, frames=3)


@pytest.fixture(scope="module")
def art() -> Art:
    return toy_art()


def fields(batch: ClipBatch) -> dict[str, torch.Tensor]:
    return {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}


def test_batches_have_the_promised_shapes_and_ranges(art: Art) -> None:
    batch = Synthesizer(art, SMALL).batch(3, 4)
    shapes = {name: tuple(value.shape) for name, value in fields(batch).items()}
    assert shapes == {
        "color": (4, 3, 3, 64, 96),
        "lines": (4, 3, 1, 64, 96),
        "times": (4, 3),
        "drawing": (4, 3, 64, 96),
        "point": (4, 3, 2, 64, 96),
        "region": (4, 3, 64, 96),
    }
    for image in (batch.color, batch.lines):
        assert image.dtype == torch.float32
        assert 0 <= float(image.min()) <= float(image.max()) <= 1
    assert batch.color.std() > 0.1
    assert batch.drawing is not None
    assert batch.drawing.dtype == torch.int64
    assert (batch.drawing == 0).any()
    assert (batch.drawing > 0).any()


def test_the_same_seed_gives_the_same_clips_whatever_their_number(art: Art) -> None:
    synthesizer = Synthesizer(art, SMALL)
    few, many, other = synthesizer.batch(5, 2), synthesizer.batch(5, 3), synthesizer.batch(6, 2)
    for name, value in fields(few).items():
        assert torch.equal(value.nan_to_num(), fields(many)[name][:2].nan_to_num()), name
    assert not torch.equal(few.color, other.color)


def test_corresponding_pixels_have_the_same_color(art: Art) -> None:
    """Follow points from the first frame to the others: unshaded, unlit, uninked regions keep their paint."""
    spec = dataclasses.replace(SMALL, height=128, width=192, distance=(8, 8), dancers=0)
    batch = Synthesizer(art, spec).batch(1, 6)
    assert batch.point is not None
    assert batch.drawing is not None
    assert batch.region is not None
    same_region = total = 0
    moved = []
    for clip in range(6):
        drawings, points, regions = batch.drawing[clip], batch.point[clip], batch.region[clip]
        for drawing in drawings.unique():
            here, there = drawings[0] == drawing, drawings[2] == drawing
            if min(int(here.sum()), int(there.sum())) < 30:
                continue
            some = torch.arange(0, int(there.sum()), 1 + int(there.sum()) // 500)
            nearest, index = torch.cdist(points[2][:, there].T[some], points[0][:, here].T).min(1)
            close = nearest < 1 / 128
            a, b = regions[2][there][some][close], regions[0][here][index[close]]
            known = (a > 0) & (b > 0)
            same_region += int((a == b)[known].sum())
            total += int(known.sum())
            columns, columns_there = here.nonzero()[:, 1], there.nonzero()[some, 1]
            moved.append((columns[index[close]] - columns_there[close]).abs().float().mean())
    assert total > 2_000
    assert same_region / total > 0.97
    assert float(torch.stack(moved).nan_to_num().max()) > 4  # they do move


def test_points_of_the_first_frame_are_its_pixels(art: Art) -> None:
    spec = dataclasses.replace(SMALL, speed=0.0, dancers=0.0, frames=2)
    batch = Synthesizer(art, spec).batch(2, 3)
    assert batch.point is not None
    y, x = torch.meshgrid((torch.arange(64) + 0.5 - 32) / 64, (torch.arange(96) + 0.5 - 48) / 64, indexing="ij")
    assert (batch.point - torch.stack([x, y])).abs().max() < 1e-4
    assert torch.equal(batch.color[:, 0], batch.color[:, 1])  # nothing moves at speed 0


def test_every_clip_has_its_own_palette(art: Art) -> None:
    """The same drawing comes in other colors, so only the reference can tell them."""
    alone = dataclasses.replace(art, chosen=art.chosen[:1])
    spec = dataclasses.replace(SMALL, drawings=(1, 1), frames=1, puppets=0)
    batch = Synthesizer(alone, spec).batch(0, 12)
    assert batch.region is not None
    means = torch.stack(
        [
            clip[0][:, region[0] == COLORS + 1].mean(1)
            for clip, region in zip(batch.color, batch.region, strict=True)
            if (region[0] == COLORS + 1).sum() > 20
        ]
    )
    assert len(means) >= 6
    assert means.std(0).mean() > 0.1


def test_drawings_animated_by_hand_are_known_by_part_only(art: Art) -> None:
    dances = dataclasses.replace(art, chosen=np.flatnonzero(art.moves))
    batch = Synthesizer(dances, dataclasses.replace(SMALL, drawings=(2, 3))).batch(0, 2)
    assert batch.point is not None
    assert batch.drawing is not None
    unknown = batch.point.isnan().any(2)
    assert unknown.any()
    assert torch.equal(unknown, batch.drawing > 0)
    assert (batch.drawing[unknown] % COLORS > 0).all()


def test_limbs_of_a_puppet_turn_about_their_joints() -> None:
    puppet = Puppet.random(np.random.default_rng(3), 1.0)
    times = np.arange(0, 48, 3.0)
    parts = puppet.parts(times)
    assert sum(part.cel is None for part in parts) == 1  # the head's place
    assert len(parts) == 10
    for lower, upper in (parts[0:2], parts[2:4], parts[4:6], parts[8:10]):
        # The lower limb's upper end is at the upper limb's lower end, whatever the angle.
        ends = []
        for part, side in ((lower, -1), (upper, 1)):
            assert part.cel is not None
            rows = np.flatnonzero((part.cel & (LINE - 1)).any(1))
            widths = ((part.cel & (LINE - 1)) > 0).sum(1)
            radius = widths[rows[len(rows) // 2]] / 2
            end = rows[-1] + 1 - radius if side > 0 else rows[0] + radius
            y = 2 * end / part.cel.shape[0] - 1
            ends.append(part.matrix @ np.array([0, y, 1]))
        assert np.abs(ends[0] - ends[1]).max() < 0.03
    moved = np.stack([part.matrix[:, :2, 2] for part in parts])
    assert np.ptp(moved, axis=1).max() > 0.1


def test_every_part_of_a_puppet_is_a_drawing_of_its_own(art: Art) -> None:
    spec = dataclasses.replace(SMALL, height=128, width=160, drawings=(2, 2), puppets=1.0, dancers=0.0)
    batch = Synthesizer(art, spec).batch(0, 4)
    assert batch.drawing is not None
    assert batch.point is not None
    assert not batch.point.isnan().any()
    assert (batch.drawing % COLORS == 0).all()
    assert max(len(clip.unique()) for clip in batch.drawing) > 10


@pytest.mark.parametrize("hand", HANDS)
def test_every_hand_draws_the_same_figure(art: Art, hand: str) -> None:
    synthesizer = Synthesizer(art, dataclasses.replace(SMALL, height=96, width=128, hands={"clean": 1.0}))
    clean, drawn = synthesizer.batch(4, 1).lines[0], synthesizer.line_art(4, 0, hand)
    assert drawn.shape == clean.shape
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1
    assert 0.005 < float(drawn.mean()) < 0.5
    near = gaussian_blur(clean, 3.0)
    assert torch.corrcoef(torch.stack([near.flatten(), gaussian_blur(drawn, 3.0).flatten()]))[0, 1] > 0.3
    if hand == "binary":
        assert set(drawn.unique().tolist()) <= {0.0, 1.0}
    else:
        assert len(drawn.unique()) > 2


def test_thick_lines_are_thicker_than_thin_ones(art: Art) -> None:
    synthesizer = Synthesizer(art, SMALL)
    thin, clean, thick = (synthesizer.line_art(1, 0, hand).mean() for hand in ("thin", "clean", "thick"))
    assert thin < clean < thick


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    height=st.integers(16, 70),
    width=st.integers(16, 90),
    frames=st.integers(1, 4),
    distance=st.tuples(st.integers(0, 30), st.integers(0, 40)).map(lambda pair: (min(pair), max(pair))),
)
def test_any_spec_makes_finite_clips_at_the_times_asked_for(
    seed: int, height: int, width: int, frames: int, distance: tuple[int, int]
) -> None:
    spec = ClipSpec(height=height, width=width, frames=frames, distance=distance, stride=(2, 2))
    batch = Synthesizer(toy_art(drawings=16, size=64), spec).batch(seed, 1)
    assert batch.color.isfinite().all()
    assert batch.lines.isfinite().all()
    times = batch.times[0]
    assert times[0] == 0
    if frames > 1:
        apart = times[1:].abs()
        assert distance[0] <= float(apart.min()) <= distance[1]
    if frames > 2:
        assert torch.equal(times[2:] - times[1:-1], torch.full((frames - 2,), 2.0))


def test_a_scene_without_drawings_is_a_background(art: Art) -> None:
    batch = Synthesizer(art, dataclasses.replace(SMALL, drawings=(0, 0))).batch(0, 2)
    assert batch.drawing is not None
    assert not batch.drawing.any()


def test_validation_shows_held_out_drawings_in_fixed_films(art: Art) -> None:
    soft = list(validation_clips(art, 15, "soft", clips=2, height=64, width=96))
    binary = list(validation_clips(art, 15, "binary", clips=2, height=64, width=96))
    assert [clip.color.shape[:2] for clip in soft] == [(1, 2), (1, 2)]
    for one, other in zip(soft, binary, strict=True):
        assert torch.equal(one.color, other.color)
        assert not torch.equal(one.lines, other.lines)
        assert one.times.tolist() == [[0.0, 15.0]]
    only_train = art.split("train")
    with pytest.raises(InputError, match="no drawings for validation"):
        next(validation_clips(only_train, 1, "soft"))


def test_no_drawing_is_in_both_splits(art: Art) -> None:
    train, validation = art.split("train"), art.split("validation")
    assert len(train) + len(validation) == len(art)
    assert not set(train.chosen) & set(validation.chosen)
    assert not set(train.style[train.chosen]) & set(validation.style[validation.chosen])


def test_art_survives_the_disk(art: Art, tmp_path: Path) -> None:
    art.save(tmp_path / "art.safetensors")
    again = Art.load(tmp_path / "art.safetensors")
    assert again.styles == art.styles
    assert again.held == art.held
    assert [again.cels(i) for i in range(len(art))] == [art.cels(i) for i in range(len(art))]
    for drawing in (0, 7, 63):
        assert np.array_equal(again.cel(drawing, 5), art.cel(drawing, 5))
        assert np.array_equal(again.colors(drawing), art.colors(drawing))
    assert torch.equal(Synthesizer(again, SMALL).batch(0, 1).color, Synthesizer(art, SMALL).batch(0, 1).color)
    assert [path.name for path in tmp_path.iterdir()] == ["art.safetensors"]


def test_collections_can_be_put_together(art: Art) -> None:
    both = Art.collect(art.size, [*art.drawings(), *toy_art(1).drawings()], {"toy-held": True})
    assert len(both) == 2 * len(art)
    assert np.array_equal(both.cel(0), art.cel(0))
    assert len(both.only("toy-held")) == 2 * len(art.only("toy-held"))


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_what_is_no_art_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "art.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="celpaint data art"):
        Art.load(path)


def test_unknown_splits_and_styles_are_refused(art: Art) -> None:
    with pytest.raises(InputError, match="split 'test'"):
        art.split("test")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="style 'manga'"):
        art.only("toy", "manga")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"height": 8}, "height is 8"),
        ({"frames": 0}, "frames is 0"),
        ({"distance": (9, 3)}, "distance is"),
        ({"stride": (-1, 3)}, "stride is"),
        ({"drawings": (3, 1)}, "drawings is"),
        ({"dancers": 1.5}, "dancers is 1.5"),
        ({"dancers": 0.6, "puppets": 0.6}, r"dancers \+ puppets are 1.2"),
        ({"speed": -1.0}, "speed is -1"),
        ({"hands": {"crayon": 1.0}}, "no hand 'crayon'"),
        ({"hands": {}}, "weights of hands"),
        ({"hands": {"soft": 0.0}}, "weights of hands"),
        ({"holds": {0: 1.0}}, "holds are"),
    ],
)
def test_bad_specs_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        ClipSpec(**settings)  # type: ignore[arg-type]


def test_borders_between_regions_are_lines() -> None:
    regions = np.zeros((6, 6), np.uint8)
    regions[2:4, 2:4] = 5
    cel = flat_lines(regions)
    assert np.array_equal(cel & (LINE - 1), regions)
    assert (cel >= LINE).sum() == 7  # to the left and above of the pixels that differ
    assert len(deflate(cel)) < cel.size


def test_blurring_keeps_flat_colors_and_the_sum_of_a_dot() -> None:
    flat = torch.full((1, 3, 20, 24), 0.3)
    assert torch.allclose(gaussian_blur(flat, 2.0), flat, atol=1e-6)
    dot = torch.zeros(1, 1, 31, 31)
    dot[..., 15, 15] = 1
    blurred = gaussian_blur(dot, 1.5)
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-5)
    assert torch.allclose(blurred, blurred.flip(-1), atol=1e-7)
    assert torch.allclose(blurred, blurred.transpose(-1, -2), atol=1e-7)
