import numpy as np
import pytest
from drawings import scene

from celpaint.conditions.reference import fit_reference
from celpaint.types import Frame

PAINTING = scene().painting()


def test_a_reference_of_the_shots_size_is_untouched():
    rgb, fit = fit_reference(Frame(PAINTING), (180, 320))
    np.testing.assert_array_equal(rgb, PAINTING)
    assert fit.sentence == ""
    assert fit.alpha is None
    assert fit.box == (0, 0, 180, 320)


@pytest.mark.parametrize("size", [(90, 160), (360, 640), (181, 320)])
def test_the_same_aspect_is_scaled_as_a_whole(size: tuple[int, int]):
    rgb, fit = fit_reference(Frame(PAINTING), size)
    assert rgb.shape == (*size, 3)
    assert fit.box == (0, 0, *size)
    assert f"320x180, the shot {size[1]}x{size[0]}: it was scaled." in fit.sentence
    back, _ = fit_reference(Frame(rgb), (180, 320))
    assert np.abs(back - PAINTING).mean() < 0.02


@pytest.mark.parametrize("size", [(180, 180), (320, 180), (100, 400), (33, 500)])
def test_another_aspect_is_fitted_inside_with_its_edges_continued(size: tuple[int, int]):
    rgb, fit = fit_reference(Frame(PAINTING), size)
    top, left, h, w = fit.box
    assert rgb.shape == (*size, 3)
    assert w / h == pytest.approx(320 / 180, rel=0.03)
    assert (h, w)[0 if size[0] / 180 < size[1] / 320 else 1] == size[0 if size[0] / 180 < size[1] / 320 else 1]
    assert "aspect ratio differs" in fit.sentence
    np.testing.assert_array_equal(rgb[: top + 1], np.broadcast_to(rgb[top], (top + 1, size[1], 3)))
    np.testing.assert_array_equal(rgb[:, : left + 1], np.broadcast_to(rgb[:, left : left + 1], (size[0], left + 1, 3)))


def test_transparency_is_kept_beside_colors_on_white():
    alpha = np.zeros((180, 320), np.float32)
    alpha[60:120, 100:200] = 1
    rgb, fit = fit_reference(Frame(PAINTING, alpha), (90, 160))
    assert fit.alpha is not None
    np.testing.assert_array_equal(fit.alpha[32:58, 52:98], 1)
    np.testing.assert_array_equal(fit.alpha[:28], 0)
    np.testing.assert_array_equal(rgb[0, 0], [1, 1, 1])


def test_an_opaque_alpha_is_no_transparency():
    _, fit = fit_reference(Frame(PAINTING, np.ones((180, 320), np.float32)), (180, 320))
    assert fit.sentence == ""
    assert fit.alpha is None


def test_values_stay_in_range():
    rgb, _ = fit_reference(Frame((PAINTING > 0.5).astype(np.float32)), (500, 777))
    assert 0 <= rgb.min() <= rgb.max() <= 1
    assert rgb.dtype == np.float32
