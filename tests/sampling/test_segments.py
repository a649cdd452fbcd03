from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celpaint.sampling.segments import WINDOW, noise_rows, plan_segments

lengths = st.integers(1, 400)
overlaps = st.integers(0, 12)


def test_official_plan() -> None:
    first, second, third, fourth = plan_segments(36, faithful=True)
    assert first.references == (0, 0, 0, 0, 0)
    assert first.previous == ()
    assert first.frames == tuple(range(14))
    assert first.noise == tuple(range(19))
    assert first.routing == first.late
    assert first.routing.others == ((),) * 5 + ((0,),) * 14
    assert first.routing.gain == (1.0,) * 19

    assert second.references == (0,)
    assert second.previous == (10, 11, 12, 13)
    assert second.frames == tuple(range(10, 24))
    assert second.new == (4, 14)
    assert second.noise == (0, 15, 16, 17, 18, 15, 16, 17, 18, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
    assert second.first == second.routing.references == 5
    assert second.routing.own == (0, 1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    assert second.routing.others == ((),) * 5 + ((1,), (2,), (3,), (4,)) + ((0,),) * 10
    assert second.routing.gain == second.late.gain == (1.0,) * 5 + (10.0,) * 4 + (1.0,) * 10
    assert second.late.own == tuple(range(19))
    assert second.late.others == ((),) * 5 + ((0,),) * 14

    assert third.noise == (0, 11, 12, 13, 14, 11, 12, 13, 14, 15, 16, 17, 18, 5, 6, 7, 8, 9, 10)
    assert fourth.frames == (*range(30, 36), *(35,) * 8)
    assert fourth.new == (4, 6)


def test_our_first_window_is_that_of_training() -> None:
    first, second = plan_segments(20)
    assert len(first.routing) == 15
    assert first.references == (0,)
    assert first.noise == (0, *range(5, 19))
    assert len(second.routing) == 19
    assert second.late.gain == (1.0,) * 19


def test_one_drawing_fills_a_window() -> None:
    (only,) = plan_segments(1)
    assert only.frames == (0,) * 14
    assert only.new == (0, 1)


def test_no_overlap_means_no_previous_references() -> None:
    for segment in plan_segments(40, overlap=0):
        assert segment.previous == ()
        assert segment.routing == segment.late
        assert len(segment.noise) == 15


def test_short_overlap_looks_back_no_further_than_itself() -> None:
    second = plan_segments(40, overlap=2)[1]
    assert second.routing.own == (0, 1, 2, 3, 4, *range(3, 15))


def test_nearest_reference_is_looked_at() -> None:
    (only,) = plan_segments(14, placed=[-1, 9])
    assert only.references == (0, 1)
    assert only.nearest == (0,) * 5 + (1,) * 9  # drawing 4 is as far from both: the earlier
    assert only.routing.others[2:] == ((0,),) * 5 + ((1,),) * 9


def test_only_references_that_are_looked_at_stand_in_the_window() -> None:
    plan = plan_segments(200, placed=[0, 199])
    assert plan[0].references == (0,)
    assert plan[-1].references == (1,)


def test_references_of_no_frame_are_looked_at_by_all() -> None:
    (only,) = plan_segments(14, placed=[None, 3])
    assert only.references == (0, 1)
    assert set(only.routing.others[2:]) == {(1, 0)}
    (sheets,) = plan_segments(14, placed=[None, None])
    assert set(sheets.routing.others[2:]) == {(0, 1)}
    assert set(sheets.nearest) == {0}


@given(lengths, overlaps, st.booleans())
def test_every_drawing_is_made_exactly_once_in_order(length: int, overlap: int, faithful: bool) -> None:
    made = [
        frame
        for segment in plan_segments(length, overlap=overlap, faithful=faithful)
        for frame in segment.frames[slice(*segment.new)]
    ]
    assert made == list(range(length))


@given(lengths, overlaps, st.booleans())
def test_windows_are_whole(length: int, overlap: int, faithful: bool) -> None:
    for segment in plan_segments(length, overlap=overlap, faithful=faithful):
        size = segment.first + WINDOW
        assert len(segment.frames) == len(segment.nearest) == WINDOW
        assert len(segment.noise) == len(segment.routing) == len(segment.late) == size
        assert max(segment.noise) < noise_rows(overlap)
        assert segment.frames[segment.new[1] - 1] == segment.frames[-1]  # what is filled repeats the last


@given(lengths, overlaps, st.booleans())
def test_shared_frames_start_from_the_same_noise(length: int, overlap: int, faithful: bool) -> None:
    plan = plan_segments(length, overlap=overlap, faithful=faithful)
    for before, after in pairwise(plan):
        shared = before.noise[len(before.noise) - overlap :]
        assert after.previous == before.frames[WINDOW - overlap :]
        assert after.noise[after.first : after.first + overlap] == shared
        assert after.noise[len(after.references) : after.first] == shared


@given(lengths, overlaps, st.lists(st.none() | st.integers(-1, 400), min_size=1, max_size=4))
def test_references_and_previous_see_only_themselves(length: int, overlap: int, placed: list[int | None]) -> None:
    for segment in plan_segments(length, overlap=overlap, placed=placed):
        for routing in (segment.routing, segment.late):
            assert routing.references == segment.first
            assert routing.own[: segment.first] == tuple(range(segment.first))
            assert routing.others[: segment.first] == ((),) * segment.first
            assert all(own >= segment.first for own in routing.own[segment.first :])
            assert all(others and max(others) < segment.first for others in routing.others[segment.first :])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 0}, "0 drawings"),
        ({"length": 5, "overlap": 13}, "overlap 13"),
        ({"length": 5, "overlap": -1}, "overlap -1"),
        ({"length": 5, "placed": ()}, "no painted reference"),
    ],
)
def test_impossible_plans_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_segments(**change)  # type: ignore[arg-type]
