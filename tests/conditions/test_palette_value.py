from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celpaint.conditions.palette.swatches import swatch_picture
from celpaint.conditions.palette.value import MAX_COLORS, Palette
from celpaint.errors import InputError
from celpaint.frames.oklab import srgb_to_oklab

CHANNEL = st.integers(0, 255).map(lambda v: v / 255)
PALETTES = st.lists(st.tuples(CHANNEL, CHANNEL, CHANNEL), min_size=1, max_size=MAX_COLORS).map(
    lambda colors: Palette(tuple(colors))
)
BLACK, WHITE, RED, BLUE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("colors", "names", "message"),
    [
        ((), (), "has 0 colors; wanted 1 to 32. Add a color"),
        ((BLACK,) * 100, (), "has 100 colors; wanted 1 to 32. Keep those"),
        ((BLACK, WHITE), ("ink",), "2 colors and 1 names"),
        (((0.0, 1.5, 0.0),), (), "wanted red, green and blue from 0 to 1"),
        (((float("nan"), 0.0, 0.0),), (), "from 0 to 1"),
        (((0.0, 0.0, 0.0, 1.0),), (), "from 0 to 1"),
    ],
)
def test_what_is_no_palette_is_refused(colors: tuple, names: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Palette(colors, names)


def test_equal_palettes_are_equal_and_can_be_keys() -> None:
    assert {Palette((RED, BLUE)): 1}[Palette((RED, BLUE))] == 1
    assert Palette((RED, BLUE)) != Palette((BLUE, RED))


def test_text_is_what_the_command_line_takes() -> None:
    assert str(Palette(((0x1D / 255, 0x35 / 255, 0x57 / 255), WHITE))) == "#1d3557,#ffffff"


def test_equal_colors_are_dropped_after_the_first() -> None:
    palette = Palette((RED, BLUE, RED, (1.0, 0.001, 0.0)), ("a", "b", "c", "d")).distinct()
    assert palette.colors == (RED, BLUE)
    assert palette.names == ("a", "b")


def test_vector_is_five_colors_from_dark_to_light_between_minus_one_and_one() -> None:
    """Lumas: blue .114, red .299, green .587, gray .5, white 1."""
    green, gray = (0.0, 1.0, 0.0), (0.5, 0.5, 0.5)
    vector = Palette((WHITE, green, RED, gray, BLUE)).vector()
    assert vector.shape == (15,)
    np.testing.assert_allclose(
        vector.reshape(5, 3), [[-1, -1, 1], [1, -1, -1], [0, 0, 0], [-1, 1, -1], [1, 1, 1]], atol=1e-6
    )


def test_vector_scale_is_srgb_over_half_of_255() -> None:
    vector = Palette(((29 / 255, 53 / 255, 87 / 255),)).vector(1)
    np.testing.assert_allclose(vector, np.array([29, 53, 87]) / 127.5 - 1, atol=1e-6)


def test_fewer_colors_than_the_network_takes_repeat_the_lightest() -> None:
    rows = Palette((WHITE, BLACK, BLACK)).vector(5).reshape(5, 3)
    np.testing.assert_array_equal(rows, [[-1] * 3, *[[1] * 3] * 4])


@given(PALETTES, st.integers(1, MAX_COLORS), st.randoms())
def test_vector_does_not_depend_on_the_order(palette: Palette, size: int, random: object) -> None:
    if len(palette.distinct()) > size:
        return  # merging is another matter: ties may fall either way
    colors = list(palette.colors)
    random.shuffle(colors)  # type: ignore[attr-defined]
    vector = palette.vector(size)
    assert vector.shape == (3 * size,)
    np.testing.assert_array_equal(vector, Palette(tuple(colors)).vector(size))


@given(PALETTES, st.integers(1, MAX_COLORS))
def test_reduced_palettes_have_the_number_asked_for(palette: Palette, size: int) -> None:
    reduced = palette.reduced(size)
    assert len(reduced) == min(size, len(palette))
    if len(palette) <= size:
        assert reduced == palette


def test_similar_colors_are_merged_and_others_kept_exactly() -> None:
    palette = Palette((RED, (0.98, 0.02, 0.0), BLUE, WHITE), ("red", "almost red", "blue", "white"))
    reduced = palette.reduced(3)
    assert reduced.colors[1:] == (BLUE, WHITE)
    assert reduced.names == ("", "blue", "white")
    middle = srgb_to_oklab(palette.rgb)[:2].mean(0)
    np.testing.assert_allclose(srgb_to_oklab(reduced.rgb)[0], middle, atol=1e-3)


def test_a_palette_of_no_colors_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="0 colors"):
        Palette((RED, BLUE)).reduced(0)


def test_swatches_are_bars_in_order() -> None:
    picture = swatch_picture(Palette((RED, BLUE, WHITE)), (4, 10))
    assert picture.shape == (4, 10, 3)
    order = [tuple(color) for color in picture[0].tolist()]
    assert order == [RED] * 4 + [BLUE] * 3 + [WHITE] * 3
    assert (picture == picture[:1]).all()
