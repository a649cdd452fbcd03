"""The order of propagation, and what is remembered for whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from celpaint.methods.propagation import Step, needed_later, plan_propagation


def test_from_a_painted_first_drawing_it_goes_forwards() -> None:
    assert plan_propagation(4, [0], 1) == (Step(0), Step(1), Step(2, (1,)), Step(3, (2,)))


def test_from_a_painted_last_drawing_it_goes_backwards() -> None:
    assert plan_propagation(4, [3], 1) == (Step(3), Step(2), Step(1, (2,)), Step(0, (1,)))


def test_from_the_middle_it_goes_both_ways() -> None:
    assert plan_propagation(5, [2], 2) == (Step(2), Step(1), Step(0, (1,)), Step(3), Step(4, (3,)))


def test_between_two_painted_drawings_both_sides_are_remembered() -> None:
    assert plan_propagation(7, [0, 6], 1) == (
        Step(0),
        Step(6),
        Step(1),
        Step(5, (1,)),
        Step(2, (5, 1)),
        Step(4, (2, 5)),
        Step(3, (2, 4)),
    )


def test_without_a_painted_drawing_it_goes_forwards() -> None:
    assert plan_propagation(3, [], 2) == (Step(0), Step(1, (0,)), Step(2, (0, 1)))


@given(st.integers(1, 40), st.sets(st.integers(0, 39)), st.integers(0, 3))
def test_every_drawing_once_and_memory_only_of_what_is_colored_and_not_painted(
    length: int, painted: set[int], memory: int
) -> None:
    painted = {drawing for drawing in painted if drawing < length}
    steps = plan_propagation(length, painted, memory)
    assert sorted(step.drawing for step in steps) == list(range(length))
    for count, step in enumerate(steps):
        colored = {each.drawing for each in steps[:count]}
        assert set(step.memory) <= colored - painted
        assert len(step.memory) <= 2 * memory
        assert not (step.drawing in painted and step.memory)


@given(st.integers(1, 40), st.sets(st.integers(0, 39), max_size=4), st.integers(0, 3))
def test_what_is_kept_is_little_and_enough(length: int, painted: set[int], memory: int) -> None:
    painted = {drawing for drawing in painted if drawing < length}
    steps = plan_propagation(length, painted, memory)
    for done in range(length + 1):
        kept = needed_later(steps, done)
        assert len(kept) <= 2 * memory
        if done < length:
            assert set(steps[done].memory) <= kept
