"""The method of Shi et al. 2023, with toy networks."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import celpaint
from celpaint.conditions.distance import distance_map
from celpaint.errors import Cancelled, OptionError, OutOfMemory, ReferenceFrameError, WeightsError
from celpaint.methods.registry import load_method
from celpaint.methods.shi2023 import weights as reading
from celpaint.methods.shi2023.run import Shi2023, working_size
from celpaint.methods.shi2023.spec import SPEC, Shi2023Options
from celpaint.methods.shi2023.windows import Window, plan_windows
from celpaint.models.shi2023.transform import ColorTransform
from celpaint.types import Array, Chunk, DrawingColored, Event, Frame, Reference, SegmentStarted, Shot
from celpaint.weights.kinds import load_object
from toy_shi2023 import write_toy_weights

SIZE = (40, 56)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_weights(tmp_path_factory.mktemp("shi2023"))


def method(weights: Path, **options: Any) -> Shi2023:
    options = {"device": "cpu", "dtype": "float32", **options}
    loaded = load_method(Shi2023Options(weights=str(weights), **options))
    assert isinstance(loaded, Shi2023)
    return loaded


def picture(i: int, size: tuple[int, int] = SIZE) -> tuple[Array, Array]:
    """Line and colors of a box that moves right."""
    line = np.zeros(size, np.float32)
    rgb = np.full((*size, 3), (0.9, 0.95, 1.0), np.float32)
    box = slice(8, 30), slice(4 + 2 * i, 26 + 2 * i)
    line[box] = 1
    line[10:28, 6 + 2 * i : 24 + 2 * i] = 0
    rgb[box] = (0.8, 0.1 + 0.02 * i, 0.2)
    return line, rgb


def shot(drawings: int, painted: tuple[int | None, ...] = (0,), size: tuple[int, int] = SIZE) -> Shot:
    references = []
    for i in painted:
        line, rgb = picture(3 if i is None else i % 10, size)
        references.append(Reference(rgb, line, i))
    return Shot([picture(i % 10, size)[0] for i in range(drawings)], tuple(references), size)


def colors(chunks: Any) -> list[Array]:
    """Pictures in the order of the shot."""
    found = {d: p.rgb for chunk in chunks for d, p in zip(chunk.drawings, chunk.painted, strict=True)}
    return [found[i] for i in range(len(found))]


# ------------------------------------------------------------------------------------------------------------- windows


def test_a_shot_is_split_at_its_painted_drawings() -> None:
    assert plan_windows(9, {2, 5}, 6) == (
        Window((0, 1), (2,)),
        Window((2,), (2,)),
        Window((3, 4), (2, 5)),
        Window((5,), (5,)),
        Window((6, 7, 8), (5,)),
    )


def test_long_segments_become_windows_of_nearly_equal_length() -> None:
    windows = [w for w in plan_windows(22, {0, 21}, 6) if w.ends == (0, 21)]
    assert [w.drawings for w in windows] == [
        (1, 2, 3, 4, 5),
        (6, 7, 8, 9, 10),
        (11, 12, 13, 14, 15),
        (16, 17, 18, 19, 20),
    ]


def test_without_a_painted_drawing_windows_have_no_ends() -> None:
    assert plan_windows(3, (), 2) == (Window((0,), ()), Window((1, 2), ()))


@given(st.integers(1, 60), st.sets(st.integers(0, 59)), st.integers(1, 9))
def test_every_drawing_is_planned_once_and_in_order(length: int, painted: set[int], most: int) -> None:
    painted = {i for i in painted if i < length}
    windows = plan_windows(length, painted, most)
    assert [d for w in windows for d in w.drawings] == list(range(length))
    for window in windows:
        assert 1 <= len(window.drawings) <= most
        assert set(window.ends) <= painted
        before = max((p for p in painted if p <= window.drawings[0]), default=None)
        after = min((p for p in painted if p >= window.drawings[-1]), default=None)
        assert set(window.ends) == {before, after} - {None}


def test_working_size_is_the_shots_own_up_to_the_bound() -> None:
    assert working_size((320, 576), Shi2023Options()) == (320, 576)
    assert working_size((1080, 1920), Shi2023Options(size=(320, 576))) == (320, 576)
    height, width = working_size((1080, 1920), Shi2023Options(max_positions=4096))
    assert -(-height // 16) * -(-width // 16) * 16 <= 4096
    assert width / height == pytest.approx(16 / 9, rel=0.02)


# --------------------------------------------------------------------------------------------------------------- color


@pytest.mark.parametrize("size", [SIZE, (45, 61), (33, 64)])
def test_every_drawing_comes_back_once_in_range(weights: Path, size: tuple[int, int]) -> None:
    chunks = list(method(weights).color(shot(9, (2,), size)))
    assert [d for chunk in chunks for d in chunk.drawings] == list(range(9))
    for chunk in chunks:
        for painted in chunk.painted:
            assert painted.rgb.shape == (*size, 3)
            assert painted.confidence is not None
            assert painted.confidence.shape == size
            for values in (painted.rgb, painted.confidence):
                assert values.dtype == np.float32
                assert values.min() >= 0
                assert values.max() <= 1


def test_drawings_are_colored_from_the_painted_ones_around_them_and_refined_between_them(weights: Path) -> None:
    """The same, by hand, of the drawings 3 and 4 between 2 and 5."""
    of = shot(8, (0, 2, 5))
    networks = reading.load(weights)

    def stacked(drawings: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pictures = [picture(i) for i in drawings]
        lines = np.stack([line for line, _ in pictures])[None, :, None]
        distance = np.stack([distance_map(line) for line, _ in pictures])[None, :, None]
        rgb = np.stack([rgb for _, rgb in pictures])[None].transpose(0, 1, 4, 2, 3)
        return torch.from_numpy(lines), torch.from_numpy(distance), torch.from_numpy(np.ascontiguousarray(rgb))

    with torch.inference_mode():
        lines, distance, _ = stacked((3, 4))
        end_lines, end_distance, end_rgb = stacked((2, 5))
        references = networks.transform.encode_references(end_lines, end_distance, end_rgb)
        transformed = networks.transform.color(lines, distance, references).rgb
        refined = networks.refinement(
            torch.cat([end_lines[:, :1], lines, end_lines[:, 1:]], 1),
            torch.cat([end_rgb[:, :1], transformed, end_rgb[:, 1:]], 1),
        )[:, 1:-1]
    unrefined, whole = (colors(method(weights, refine=refine).color(of)) for refine in ("off", "on"))
    for k, drawing in enumerate((3, 4)):
        np.testing.assert_allclose(unrefined[drawing], transformed[0, k].permute(1, 2, 0), atol=1e-5)
        np.testing.assert_allclose(whole[drawing], refined[0, k].permute(1, 2, 0), atol=1e-5)
    assert np.abs(whole[3] - unrefined[3]).mean() > 0.01


def test_all_references_are_attended_to_where_that_is_wanted(weights: Path) -> None:
    of, fewer = shot(8, (0, 2, 5)), shot(8, (0, 2))
    some, every = (colors(method(weights, attend=attend, refine="off").color(of)) for attend in ("bracket", "all"))
    assert np.array_equal(some[1], colors(method(weights, refine="off").color(fewer))[1])
    assert not np.array_equal(some[1], every[1])


def test_a_preview_is_not_refined(weights: Path) -> None:
    preview = colors(method(weights, preview=True).color(shot(4)))
    unrefined = colors(method(weights, refine="off").color(shot(4)))
    assert all(np.array_equal(a, b) for a, b in zip(preview, unrefined, strict=True))


def test_a_picture_of_no_frame_colors_the_whole_shot_without_refinement(weights: Path) -> None:
    of = shot(5, (None,))
    whole, unrefined = (colors(method(weights, refine=refine).color(of)) for refine in ("on", "off"))
    assert len(whole) == 5
    assert all(np.array_equal(a, b) for a, b in zip(whole, unrefined, strict=True))


def test_painted_frames_come_back_with_their_transparency(weights: Path) -> None:
    of = shot(4, (1,))
    alpha = np.ones(SIZE, np.float32)
    alpha[:5] = 0
    rgb = of.references[0].rgb.copy()
    rgb[:5] = 1
    hole = Reference(rgb, of.references[0].line, 1, Frame(rgb, alpha), alpha)
    chunks = list(method(weights).color(Shot(of.lines, (hole,), SIZE)))
    painted = chunks[1].painted[0]
    assert chunks[1].drawings == (1,)
    assert np.array_equal(painted.rgb, rgb)
    assert painted.alpha is not None
    assert np.array_equal(painted.alpha, alpha)
    assert painted.confidence is not None
    assert painted.confidence.min() == 1
    assert all(np.isfinite(frame).all() for frame in colors(chunks))


def test_a_reference_without_lines_is_used_and_told_of(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    blank = Reference(np.full((*SIZE, 3), 0.5, np.float32), np.zeros(SIZE, np.float32), 0)
    of = Shot([np.zeros(SIZE, np.float32), picture(1)[0]], (blank,), SIZE)
    with caplog.at_level(logging.WARNING, "celpaint"):
        frames = colors(method(weights).color(of))
    assert "painted picture 1 of 1 shows no lines" in caplog.text
    assert np.isfinite(frames[1]).all()


def test_large_shots_are_worked_on_in_small_and_their_confidence_has_their_size(weights: Path) -> None:
    size = (100, 150)
    painted = list(method(weights, max_positions=256).color(shot(2, (0,), size)))[1].painted[0]
    height, width = painted.rgb.shape[:2]
    assert -(-height // 16) * -(-width // 16) * 16 <= 256
    assert painted.confidence is not None
    assert painted.confidence.shape == size


@pytest.mark.parametrize("options", [{}, {"refine": "off", "attend": "all"}, {"refine_window": 3}])
def test_going_on_after_a_stop_gives_the_same_bytes(weights: Path, options: dict[str, Any]) -> None:
    of = shot(12, (1, 9, None))
    whole = list(method(weights, **options).color(of))
    done = 0
    for stop, chunk in enumerate(whole[:-1], 1):
        done += len(chunk.drawings)
        rest: list[Chunk] = list(method(weights, **options).color(of, done=done, state=chunk.state))
        assert [c.drawings for c in rest] == [c.drawings for c in whole[stop:]]
        for a, b in zip(whole[stop:], rest, strict=True):
            for p, q in zip(a.painted, b.painted, strict=True):
                assert p.rgb.tobytes() == q.rgb.tobytes()
                assert p.confidence is not None
                assert q.confidence is not None
                assert p.confidence.tobytes() == q.confidence.tobytes()


def test_progress_tells_of_windows_and_drawings_and_may_stop_between_them(weights: Path) -> None:
    told: list[Event] = []
    list(method(weights).color(shot(9), progress=told.append))
    assert [(e.index, e.total) for e in told if isinstance(e, SegmentStarted)] == [(1, 3), (2, 3), (3, 3)]
    assert [(e.index, e.total) for e in told if isinstance(e, DrawingColored)] == [(i, 9) for i in range(1, 10)]

    def stop(event: Event, /) -> None:
        if isinstance(event, DrawingColored) and event.index == 3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        list(method(weights).color(shot(9), progress=stop))


def test_half_precision_gives_nearly_the_same(weights: Path) -> None:
    full, half = (colors(method(weights, dtype=dtype).color(shot(4))) for dtype in ("float32", "bfloat16"))
    for a, b in zip(full, half, strict=True):
        assert b.dtype == np.float32
        assert np.abs(a - b).mean() < 0.02


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("options", [{"refine_window": 2}, {"attend": "some"}, {"refine": True}, {"max_positions": 1}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        Shi2023Options(**options)


def test_a_shot_without_references_is_refused(weights: Path) -> None:
    session = celpaint.Colorizer("shi2023", weights=str(weights), device="cpu")
    with pytest.raises(ReferenceFrameError):
        session.colorize(np.full((2, *SIZE, 3), 255, np.uint8))


def test_too_little_memory_for_the_references_says_what_to_lower(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(*_: Any) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    session = celpaint.Colorizer("shi2023", weights=str(weights), device="cpu")
    monkeypatch.setattr(ColorTransform, "encode_references", encode)
    with pytest.raises(OutOfMemory) as error:
        list(session.chunks(shot(3)))
    for lowered in ("--max-positions", "--refine-window", "--size", "--attend"):
        assert lowered in str(error.value)


def test_a_package_without_weights_says_how_to_train_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celpaint.weights.registry.packaged", dict)
    with pytest.raises(WeightsError, match="celpaint train shi2023"):
        load_method(Shi2023Options(device="cpu"))


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    folder = write_toy_weights(tmp_path)
    assert SPEC.weights is not None
    assert SPEC.weights.recognizes(folder)
    path = folder / "transform" / "config.json"
    config = json.loads(path.read_text())
    for changes, said in (
        ({"widths": [4, 6, 12]}, "does not fit ColorTransform"),
        ({"widths": [4, 6]}, "does not describe the transform network"),
        ({"channels": 3}, "does not describe the transform network"),
    ):
        path.write_text(json.dumps(config | changes))
        with pytest.raises(WeightsError, match=said):
            reading.load(folder)


def test_weights_with_a_part_missing_are_refused(tmp_path: Path) -> None:
    folder = write_toy_weights(tmp_path)
    (folder / "refinement" / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"config\.json"):
        reading.load(folder)


def test_the_inspected_networks_are_those_that_are_loaded(weights: Path) -> None:
    networks = reading.load(weights)
    for part in ("transform", "refinement"):
        config = json.loads((weights / part / "config.json").read_text())
        empty = reading.build_part(part, config, weights)
        assert all(parameter.is_meta for parameter in empty.parameters())
        assert empty.state_dict().keys() == getattr(networks, part).state_dict().keys()


# ----------------------------------------------------------------------------------------------------------- ablations


def without(part: str, weights: Path, **options: Any) -> Shi2023:
    loaded = load_object(SPEC.ablations[part]).load(
        Shi2023Options(weights=str(weights), device="cpu", dtype="float32", **options)
    )
    assert isinstance(loaded, Shi2023)
    return loaded


@pytest.mark.parametrize("part", sorted(SPEC.ablations))
def test_without_a_part_a_shot_is_colored_otherwise(part: str, weights: Path) -> None:
    whole, less = colors(method(weights).color(shot(4))), colors(without(part, weights).color(shot(4)))
    assert np.array_equal(less[0], whole[0])
    assert np.abs(less[2] - whole[2]).max() > 1e-3


def test_without_attention_the_place_of_colors_in_the_reference_does_not_matter(weights: Path) -> None:
    """Mirrored references have nearly the same style vector."""
    of = shot(3)
    reference = of.references[0]
    mirrored = Reference(reference.rgb[:, ::-1].copy(), reference.line[:, ::-1].copy(), 0)
    other = Shot(of.lines, (mirrored,), SIZE)

    def change(colorer: Shi2023) -> float:
        a, b = (colors(colorer.color(each))[2] for each in (of, other))
        return float(np.abs(a - b).mean())

    assert change(without("distance attention", weights, refine="off")) < 0.1 * change(method(weights, refine="off"))


def test_without_the_embedder_norms_are_plain(weights: Path) -> None:
    transform = without("embedder", weights).networks.transform
    affine = transform.to_affine(torch.randn(2, 8)).view(2, 1, 2, 2, 8)
    assert affine[..., 0, :].unique().tolist() == [0]
    assert affine[..., 1, :].unique().tolist() == [1]


def test_stand_ins_for_lines_and_distances_are_each_other(weights: Path) -> None:
    line = np.array([[1.0, 0.0, 0.0, 0.25]], np.float32)
    lines, distance = without("line art", weights).conditions(line)
    np.testing.assert_allclose(distance, [[0, 1, 2, 3]])
    np.testing.assert_allclose(lines, [[1, 1 - 1 / 64, 1 - 2 / 64, 1 - 3 / 64]])
    lines, distance = without("distance field", weights).conditions(line)
    np.testing.assert_array_equal(lines, line)
    np.testing.assert_allclose(distance / 64, [[0, 1, 1, 0.75]])
