import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celpaint.frames.names import Pattern, find_sequences, is_pattern, natural_key

text = st.text(alphabet="abAB_-. éÄ線", max_size=6)
numbers = st.lists(st.integers(0, 20_000), min_size=1, max_size=12, unique=True)


@given(prefix=text, suffix=text, width=st.integers(1, 6), number=st.integers(0, 10**7))
@settings(deadline=None)
def test_a_number_written_by_a_pattern_is_read_back(prefix, suffix, width, number):
    pattern = Pattern(prefix, width, suffix)
    assert pattern.number(pattern.format(number)) == number


@given(prefix=text, suffix=text, width=st.integers(1, 6))
@settings(deadline=None)
def test_patterns_are_read_as_they_are_written(prefix, suffix, width):
    pattern = Pattern(prefix, width, suffix)
    assert Pattern.parse(str(pattern)) == pattern
    assert Pattern.parse(f"{prefix}%0{width}d{suffix}") == pattern


@given(prefix=text, width=st.integers(1, 6), counts=numbers, seed=st.integers(0, 99))
@settings(deadline=None)
def test_a_shuffled_sequence_is_found_whole_in_order_with_gaps(prefix, width, counts, seed):
    pattern = Pattern(prefix + "x", width, ".png")
    names = [pattern.format(n) for n in sorted(counts)]
    shuffled = random.Random(seed).sample(names, len(names))
    (found,) = find_sequences(shuffled)
    assert list(found.names) == names
    picks = Pattern.parse(found.pattern)
    assert [picks.number(name) for name in names] == sorted(counts)


@given(counts=st.lists(st.integers(0, 10**6), min_size=2, max_size=20, unique=True))
@settings(deadline=None)
def test_natural_order_is_the_order_of_numbers(counts):
    assert sorted((f"A_{n}.png" for n in counts), key=natural_key) == [f"A_{n}.png" for n in sorted(counts)]


@pytest.mark.parametrize(
    ("names", "patterns"),
    [
        (["A_0001.png", "A_0003.png"], ["A_####.png"]),
        (["level.0001.tif", "level.0002.tif"], ["level.####.tif"]),
        (["a001.png", "a002.png"], ["a###.png"]),
        (["0.png", "9.png", "10.png"], ["#.png"]),
        (["098.png", "100.png"], ["###.png"]),
        (["A_0001.PNG", "A_0002.png"], ["A_####.PNG"]),
        (["A0001_v2.png", "A0002_v2.png"], ["A####_v2.png"]),
        (["sc01_0001.png", "sc01_0002.png", "sc02_0001.png", "sc02_0002.png"], ["sc01_####.png", "sc02_####.png"]),
        (["A_1.png", "A_2.png", "A_1.tif"], ["A_#.png", "A_#.tif"]),
        (["A_1.png", "B_1.png", "key.png"], ["A_#.png", "B_#.png", "key.png"]),
        (["shot 5 – 線画_7.png", "shot 5 – 線画_8.png"], ["shot 5 – 線画_#.png"]),
    ],
)
def test_sequences(names, patterns):
    assert [s.pattern for s in find_sequences(names)] == patterns


@pytest.mark.parametrize(
    ("pattern", "name", "number"),
    [
        ("A_####.png", "A_0012.png", 12),
        ("A_####.png", "A_12345.png", 12345),
        ("A_####.png", "A_012.png", None),
        ("A_####.png", "A_01234.png", None),
        ("A_#.png", "A_0012.png", 12),
        ("A_%d.png", "A_7.png", 7),
        ("A_%04d.png", "A_0007.tif", None),
        ("A_####.png", "A_.png", None),
        ("A_##.png", "A_١٢.png", None),
    ],
)
def test_which_names_fit(pattern, name, number):
    assert Pattern.parse(pattern).number(name) == number


def test_what_is_a_pattern():
    assert [is_pattern(n) for n in ("A_#.png", "A_%03d.png", "A_*.png", "A_?.png", "A_1.png", "50%.png")] == [
        True, True, True, True, False, False
    ]  # fmt: skip
    assert Pattern.parse("A_#_#.png") is None
    assert Pattern.parse("A.png") is None
