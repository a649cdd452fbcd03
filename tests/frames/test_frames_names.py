import random
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from celpaint.frames.names import Pattern, find_sequences, is_pattern, list_numbers, natural_key, read_together
from celpaint.types import FrameNumber

text = st.text(alphabet="abAB_-. éÄ線", max_size=6)
numbers = st.lists(st.integers(0, 20_000), min_size=1, max_size=12, unique=True)


@given(prefix=text, suffix=text, width=st.integers(1, 6), number=st.integers(0, 10**7))
@settings(deadline=None)
def test_a_number_written_by_a_pattern_is_read_back(prefix, suffix, width, number):
    pattern = Pattern(prefix, width, suffix)
    assert pattern.number(pattern.format(number)) == FrameNumber(number)


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
    assert [picks.number(name) for name in names] == list(found.numbers) == [FrameNumber(n) for n in sorted(counts)]


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
        ("A_####.png", "A_0012.PNG", 12),
        ("level.####.TIF", "level.0003.tif", 3),
        ("r.####.png", "r.-0003.png", -3),
        ("r.%04d.png", "r.-003.png", -3),  # as C writes it
        ("####.png", "-0001.png", -1),
        ("A-####.png", "A-0003.png", 3),
        ("A####.png", "A-0003.png", None),
        ("A####*.png", "A0012b.png", "12b"),
        ("A####.png", "A0012b.png", None),
        ("A####b.png", "A0012b.png", 12),
        ("f_*_####.png", "f_17_0004.png", 4),
        ("f_#_*.png", "f_17_0004.png", 17),
        ("take*#.png", "take12.png", 12),
        ("[AB]_##.png", "B_07.png", 7),
        ("é_##.png", unicodedata.normalize("NFD", "é_07.png"), 7),
    ],
)
def test_which_names_fit(pattern, name, number):
    assert Pattern.parse(pattern).number(name) == (None if number is None else FrameNumber.parse(str(number)))


def test_what_is_a_pattern():
    assert [is_pattern(n) for n in ("A_#.png", "A_%03d.png", "A_*.png", "A_?.png", "A_1.png", "50%.png")] == [
        True, True, True, True, False, False
    ]  # fmt: skip
    assert Pattern.parse("A_#_#.png") is None
    assert Pattern.parse("A.png") is None


# --------------------------------------------------------------------------------------- numbers that are not so plain


def delays(*hundredths: int) -> list[str]:
    return [f"frame_{n}_delay-0.{d:02d}s.png" for n, d in enumerate(hundredths)]


@pytest.mark.parametrize(
    ("names", "pattern", "numbers"),
    [
        (["r.-0003.png", "r.-0001.png", "r.0000.png", "r.0002.png"], "r.####.png", "-3 -1 0 2"),
        (["r_-12.png", "r_-2.png"], "r_#.png", "-12 -2"),
        (["-0001.png", "0000.png", "0001.png"], "####.png", "-1 0 1"),
        (["A-0001.png", "A-0002.png"], "A-####.png", "1 2"),
        (delays(4, 8, 4, 12, 4), "frame_#_delay-0.*s.png", "0 1 2 3 4"),
        (["A0001_v1.png", "A0002_v1.png", "A0003_v3.png"], "A####_v*.png", "1 2 3"),
        (["scan_0930-1_01.png", "scan_0934-1_02.png", "scan_1002-1_03.png"], "scan_*-1_##.png", "1 2 3"),
        (["A_0001.PNG", "A_0003.png", "A_0002.Png"], "A_####.PNG", "1 2 3"),
        (["A1.png", "A1a.png", "A1b.png", "A2.png", "A3.png", "A10.png"], "A#*.png", "1 1a 1b 2 3 10"),
        (["A0001a.png", "A0002a.png"], "A####a.png", "1 2"),
        (["A0001.png", "A0002K.png", "A0003.png"], "A####*.png", "1 2 3"),
    ],
)
def test_numbers_are_told_from_names(names, pattern, numbers):
    """By folder, by the pattern that is proposed, and by a glob alike."""
    (found,) = find_sequences(random.Random(0).sample(names, len(names)))
    assert [str(n) for n in found.numbers] == numbers.split()
    assert found.pattern == pattern
    picks = Pattern.parse(pattern)
    assert sorted(names, key=picks.number) == list(found.names)
    together = read_together(names)
    assert (together.names, together.numbers) == (found.names, found.numbers)
    assert not found.readings
    assert not together.readings


@pytest.mark.parametrize(
    ("names", "readings"),
    [
        (delays(4, 5, 6), ["frame_#_delay-0.*s.png", "frame_*_delay-0.##s.png"]),
        (["a_1_21.png", "a_2_22.png"], ["a_#_*.png", "a_*_##.png"]),
    ],
)
def test_two_numbers_that_both_count_are_not_chosen_between(names, readings):
    (found,) = find_sequences(names)
    assert list(found.readings) == list(read_together(names).readings) == readings
    for reading in readings:
        picks = Pattern.parse(reading)
        assert len({picks.number(name) for name in names} - {None}) == len(names)


def test_as_many_letters_as_numbers_may_be_layers_or_in_betweens():
    names = ["A1.png", "A1a.png", "A2.png", "A2a.png"]
    (found,) = find_sequences(names)
    assert found.readings == ("A#*.png", "A#.png", "A#a.png")
    assert [str(n) for n in read_together(names).numbers] == ["1", "1a", "2", "2a"]


@pytest.mark.parametrize(
    ("names", "patterns"),
    [
        (["sc01_0001.png", "sc01_0002.png", "sc02_0003.png", "sc02_0004.png"], ["sc01_####.png", "sc02_####.png"]),
        (["A0001_v1.png", "A0001_v2.png", "A0002_v1.png", "A0002_v2.png"], ["A####_v1.png", "A####_v2.png"]),
        ([f"s{s}_{n}_d{d}.png" for s in (1, 2) for n, d in ((1, 4), (2, 8), (3, 4))], ["s1_#_d*.png", "s2_#_d*.png"]),
        (["r-0002.png", "r-0001.png", "r0000.png"], ["r####.png", "r-####.png"]),
    ],
)
def test_what_stays_several_sequences(names, patterns):
    assert [s.pattern for s in find_sequences(names)] == patterns


def test_names_taken_together_that_tell_no_number_come_in_natural_order():
    together = read_together(["B_0001.png", "A_0001.png"])
    assert (together.names, together.numbers, together.readings) == (("A_0001.png", "B_0001.png"), (), ())
    assert read_together(["walk.png", "run.png"]).names == ("run.png", "walk.png")


def test_names_taken_together_of_several_shapes():
    assert [str(n) for n in read_together(["A_3_fix.png", "A_1.png", "A_2.jpg"]).numbers] == ["1", "2", "3"]
    assert [str(n) for n in read_together(["A_2_v2.png", "A_1.png"]).numbers] == ["1", "2"]
    assert read_together(["A_0003.png"]).numbers == (FrameNumber(3),)


def test_numbers_padded_in_several_ways_are_picked_by_one_pattern():
    (sequence,) = find_sequences(["000.png", "001.png", "0002.png"])
    assert sequence.pattern == "#.png"
    pattern = Pattern.parse(sequence.pattern)
    assert pattern is not None
    assert [pattern.number(name) for name in sequence.names] == [FrameNumber(n) for n in (0, 1, 2)]


@given(st.lists(st.text(alphabet="aB_-. 019", min_size=1, max_size=9).map(lambda t: t + ".png"), unique=True))
@example(["00.png", "000.png"])
@settings(deadline=None, max_examples=300)
def test_every_name_is_in_one_sequence_and_picked_by_its_pattern(names):
    sequences = find_sequences(names)
    assert sorted(name for s in sequences for name in s.names) == sorted(names)
    for sequence in sequences:
        pattern = Pattern.parse(sequence.pattern)
        if sequence.numbers:
            assert pattern is not None
            assert all(pattern.number(name) is not None for name in sequence.names)
    read_together(names)


def test_numbers_for_people():
    assert list_numbers([3, 1, 2, 7, 9, 10]) == "1-3, 7, 9-10"
    assert list_numbers([-3, -2, 0]) == "-3 to -2, 0"
