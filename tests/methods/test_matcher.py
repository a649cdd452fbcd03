"""The matcher as a method, with a toy network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from celpaint.errors import OptionError, WeightsError
from celpaint.methods.matcher.run import Matcher, working_size
from celpaint.methods.matcher.spec import MatcherOptions
from celpaint.methods.registry import load_method
from celpaint.models.matcher.network import Lines
from celpaint.models.matcher.network import Matcher as Network
from celpaint.types import Array, ColorizedFrame, Event, Judgement, Reference, Shot
from celpaint.weights.store import write_network

CONFIG = {
    "channels": [8, 8, 16],
    "width": 16,
    "layers": 1,
    "mend_layers": 1,
    "heads": 2,
    "key": 8,
    "fine_key": 8,
    "value": 8,
    "fine_value": 4,
}
COLORS = np.array([[0.9, 0.1, 0.2], [0.1, 0.3, 0.8], [1.0, 0.9, 0.5], [0.2, 0.6, 0.3]], np.float32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = Network(**CONFIG)  # type: ignore[arg-type]
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    write_network(folder, CONFIG, network.state_dict())
    return folder


def matcher(weights: Path, **options: object) -> Matcher:
    method = load_method(MatcherOptions(weights=str(weights), device="cpu", **options))  # type: ignore[arg-type]
    assert isinstance(method, Matcher)
    return method


def picture(height: int, width: int, shift: int) -> tuple[Array, Array]:
    """Four boxes in a frame, drawn and painted; they move right by ``shift``."""
    line = np.zeros((height, width), np.float32)
    rgb = np.ones((height, width, 3), np.float32) * COLORS[2]
    for k, color in enumerate(COLORS):
        y, x = 4 + (k // 2) * height // 2, 4 + (k % 2) * width // 2 + shift
        box = slice(y, y + height // 3), slice(x, x + width // 3)
        rgb[box] = color
        line[box] = 1
        line[y + 1 : y + height // 3 - 1, x + 1 : x + width // 3 - 1] = 0
    return rgb, line


def shot(height: int = 48, width: int = 64, drawings: int = 7) -> Shot:
    drawn = [picture(height, width, i)[1] for i in range(drawings)]
    rgb, line = picture(height, width, 0)
    return Shot(drawn, (Reference(rgb, line), Reference(1 - rgb, line, drawings - 1)), (height, width))


def all_painted(method: Matcher, of: Shot) -> list[ColorizedFrame]:
    """Every drawing, in the order of the shot."""
    painted = {
        drawing: frame
        for chunk in method.color(of)
        for drawing, frame in zip(chunk.drawings, chunk.painted, strict=True)
    }
    return [painted[drawing] for drawing in range(len(of))]


def test_every_drawing_comes_back_once_at_its_size_painted_ones_first(weights: Path) -> None:
    told: list[Event] = []
    chunks = list(matcher(weights).color(shot(45, 61, 6), progress=told.append))
    assert [c.drawings for c in chunks] == [(0, 5, 1, 4), (2, 3)]
    assert [e.index for e in told] == [1, 2, 3, 4, 5, 6]
    assert {(e.stage, e.total) for e in told} == {("frame", 6)}
    for chunk in chunks:
        for painted in chunk.painted:
            assert painted.rgb.shape == (45, 61, 3)
            assert painted.rgb.dtype == np.float32
            assert painted.confidence is not None
            assert painted.confidence.shape == (45, 61)
            for values in (painted.rgb, painted.confidence):
                assert values.min() >= 0
                assert values.max() <= 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"memory_frames": 0},
        {"memory_frames": 5},
        {"max_tokens": 64},
        {"flat": "on"},
        {"flat": "on", "max_tokens": 64},
    ],
)
def test_going_on_after_a_stop_gives_the_same_bytes(weights: Path, options: dict[str, object]) -> None:
    of = shot(100, 140, 10)
    method = matcher(weights, **options)
    whole = list(method.color(of))
    for stop in (0, 1):
        state = {name: array.copy() for name, array in whole[stop].state.items()}
        rest = list(matcher(weights, **options).color(of, done=4 * (stop + 1), state=state))
        assert [c.drawings for c in rest] == [c.drawings for c in whole[stop + 1 :]]
        for a, b in zip(whole[stop + 1 :], rest, strict=True):
            for p, q in zip(a.painted, b.painted, strict=True):
                assert p.rgb.tobytes() == q.rgb.tobytes()
                assert p.confidence is not None
                assert q.confidence is not None
                assert p.confidence.tobytes() == q.confidence.tobytes()


def test_memory_changes_what_comes_after_it_and_nothing_before(weights: Path) -> None:
    without = all_painted(matcher(weights, memory_frames=0), shot())
    with_it = all_painted(matcher(weights, memory_frames=2), shot())
    assert np.array_equal(without[1].rgb, with_it[1].rgb)  # the first that was not given painted
    assert not np.array_equal(without[2].rgb, with_it[2].rgb)


@pytest.mark.parametrize("options", [{}, {"flat": "on"}, {"max_tokens": 64}])
def test_painted_frames_come_out_as_they_were_painted(weights: Path, options: dict[str, object]) -> None:
    of = shot()
    painted = all_painted(matcher(weights, **options), of)
    for reference in of.references:
        assert reference.frame is not None
        assert np.array_equal(painted[reference.frame].rgb, reference.rgb)
        sure = painted[reference.frame].confidence
        assert sure is not None
        assert bool((sure == 1).all())


def test_thin_lines_still_enclose_regions_at_a_smaller_working_size(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = np.zeros((720, 1280), np.float32)
    line[[100, 600], 200:1001] = line[100:600, [200, 1000]] = 1
    method = matcher(weights, max_tokens=240)
    seen: list[tuple[Array, Array]] = []
    encode = method.network.encode_lines

    def spy(lines: torch.Tensor, regions: torch.Tensor) -> Lines:
        seen.append((lines[0, 0, 0].float().numpy(), regions[0, 0].numpy()))
        return encode(lines, regions)

    monkeypatch.setattr(method.network, "encode_lines", spy)
    list(method.color(Shot([line], (Reference(np.ones((720, 1280, 3), np.float32), line, None),), (720, 1280))))
    assert len(seen) == 2
    for small, regions in seen:
        assert small.shape[0] < 160
        assert small[small.shape[0] // 2].max() > 0.5
        assert len(np.unique(regions)) == 2


def test_exact_uses_the_references_own_values_only(weights: Path) -> None:
    of = shot()
    allowed = {tuple(c) for r in of.references for c in np.unique(r.rgb.reshape(-1, 3), axis=0).tolist()}
    for painted in all_painted(matcher(weights, flat="on"), of):
        used = {tuple(c) for c in np.unique(painted.rgb.reshape(-1, 3), axis=0).tolist()}
        assert used <= allowed
        inside = painted.rgb[6:16, 12:20].reshape(-1, 3)
        assert len(np.unique(inside, axis=0)) == 1


@settings(max_examples=100, deadline=None)
@given(
    size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    tokens=st.sampled_from([64, 240, 4096, 65536]),
)
def test_working_size_is_bounded_and_never_larger(size: tuple[int, int], tokens: int) -> None:
    height, width = working_size(size, MatcherOptions(max_tokens=tokens))
    if min(size) >= 160 and max(size) < 4 * min(size):
        assert -(-height // 16) * -(-width // 16) * 4 <= tokens
        assert height <= size[0]
        assert width <= size[1]
        if height < size[0]:
            assert abs(height / width - size[0] / size[1]) < 0.2 * size[0] / size[1] + 0.05
    assert height >= 16
    assert width >= 16


def test_working_size_may_be_asked_for() -> None:
    assert working_size((1080, 1920), MatcherOptions(size=(192, 320))) == (192, 320)
    assert working_size((320, 576), MatcherOptions()) == (320, 576)


def test_advice_is_few_drawings_of_the_shot_and_none_where_all_is_sure(weights: Path) -> None:
    method = matcher(weights)
    of = shot(drawings=12)
    advice = method.advise(of, [Judgement(0.9, 0.1)] * 12)
    assert 1 <= len(advice) <= 3
    assert len(set(advice)) == len(advice)
    assert all(0 <= i < 12 for i in advice)
    assert method.advise(of, [Judgement(0.95, 0.95)] * 12) == []
    assert method.advise(of, []) == []


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        load_method(MatcherOptions(weights=str(tmp_path / "nowhere")))
    write_network(tmp_path / "other", CONFIG, {"a": torch.zeros(1)})
    with pytest.raises(WeightsError, match="missing"):
        load_method(MatcherOptions(weights=str(tmp_path / "other")))


@pytest.mark.parametrize("options", [{"memory_frames": -1}, {"max_tokens": 1}])
def test_impossible_options_are_named(options: dict[str, int]) -> None:
    with pytest.raises(OptionError, match=f"--{next(iter(options))}".replace("_", "-")):
        MatcherOptions(**options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def packaged() -> Matcher:
    """The weights that come with the package."""
    method = load_method(MatcherOptions(device="cpu", memory_frames=0))
    assert isinstance(method, Matcher)
    return method


def test_packaged_weights_follow_what_moves(packaged: Matcher) -> None:
    rgb, line = picture(96, 160, 0)
    moved_rgb, moved_line = picture(96, 160, 14)
    (painted,) = all_painted(packaged, Shot([moved_line], (Reference(rgb, line, None),), (96, 160)))
    error, copied = np.mean((painted.rgb - moved_rgb) ** 2), np.mean((rgb - moved_rgb) ** 2)
    assert error < copied / 4


def test_packaged_weights_copy_what_is_held_still(packaged: Matcher) -> None:
    rgb, line = picture(96, 160, 0)
    rgb = rgb * np.random.default_rng(0).uniform(0.7, 1, rgb.shape).astype(np.float32)  # brush strokes
    of = Shot([line], (Reference(rgb, line, None),), (96, 160))
    (painted,) = all_painted(packaged, of)
    assert float(np.abs(painted.rgb - rgb).mean()) < 1 / 255


def test_packaged_weights_are_less_sure_of_what_no_reference_shows(packaged: Matcher) -> None:
    rgb, line = picture(96, 160, 0)
    new = line.copy()
    y, x = np.mgrid[:96, :160]
    blob = (y - 40) ** 2 + (x - 68) ** 2
    new[(blob < 13**2) & (blob > 11**2)] = 1
    new[blob <= 11**2] = 0
    of = Shot([line, new], (Reference(rgb, line, None),), (96, 160))
    known, unknown = (p.confidence for p in all_painted(packaged, of))
    assert known is not None
    assert unknown is not None
    assert float(unknown[blob < 9**2].mean()) < float(known[blob < 9**2].mean()) - 0.1
    assert float(known.mean()) > 0.8


def test_flat_fills_take_the_palette_s_colors(weights: Path) -> None:
    palette = ((0.0, 0.0, 0.0), (0.8, 0.2, 0.2), (0.2, 0.2, 0.8), (0.9, 0.9, 0.4), (0.2, 0.8, 0.2), (1.0, 1.0, 1.0))
    of = replace(shot(), palette=palette)
    allowed = np.array(palette, np.float32)
    for painted in all_painted(matcher(weights, flat="on"), of):
        pixels = painted.rgb.reshape(-1, 1, 3)
        assert np.abs(pixels - allowed).max(-1).min(-1).max() < 1e-6


def test_a_palette_without_flat_fills_is_refused(weights: Path) -> None:
    with pytest.raises(OptionError, match="flat fills only"):
        next(matcher(weights, flat="off").color(replace(shot(), palette=((0.5, 0.5, 0.5),))))


def cels(shaded: bool) -> Shot:
    """Two drawings of boxes, the first painted: each box in one color, or in shades of it."""
    rgb, line = picture(96, 160, 0)
    if shaded:
        rgb = rgb * np.linspace(0.7, 1, 160, dtype=np.float32)[:, None]
    return Shot([line, picture(96, 160, 14)[1]], (Reference(rgb, line, 0),), (96, 160))


def test_flat_paintings_get_flat_fills_and_it_is_said(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "celpaint")
    result = all_painted(matcher(weights), cels(shaded=False))[1].rgb
    assert np.array_equal(result, all_painted(matcher(weights, flat="on"), cels(shaded=False))[1].rgb)
    assert "each region of the paintings has one color (0.0 % of the pixels differ)" in caplog.text
    assert "--flat off blends colors" in caplog.text


def test_shaded_paintings_are_blended_and_it_is_said(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "celpaint")
    result = all_painted(matcher(weights), cels(shaded=True))[1].rgb
    assert np.array_equal(result, all_painted(matcher(weights, flat="off"), cels(shaded=True))[1].rgb)
    assert not np.array_equal(result, all_painted(matcher(weights, flat="on"), cels(shaded=True))[1].rgb)
    assert "the paintings have shades within regions" in caplog.text
    assert "--flat on fills each region with one color" in caplog.text
