"""PSNR, SSIM, MS-SSIM and colorfulness against scikit-image, pytorch-msssim and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from celpaint.errors import InputError
from celpaint.metrics.base import FramePair
from celpaint.metrics.frame import PSNR, SSIM, Colorfulness, colorfulness, ms_ssim, psnr, squared_error, ssim


def test_psnr_equals_scikit_image(photographs):
    result, ground_truth = photographs
    expected = peak_signal_noise_ratio(ground_truth.astype(np.float64), result.astype(np.float64), data_range=1)
    assert psnr(squared_error(result, ground_truth)) == pytest.approx(expected, abs=1e-9)


def test_psnr_of_nan_is_nan():
    assert np.isnan(psnr(float("nan")))


def test_psnr_of_a_known_difference():
    gray = np.full((8, 8, 3), 0.5, np.float32)
    assert psnr(squared_error(gray + np.float32(0.1), gray)) == pytest.approx(20, abs=1e-5)


def test_psnr_of_uint8_does_not_wrap_around():
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert squared_error(black, white) == squared_error(white, black) == 255**2
    assert psnr(squared_error(black / 255, white / 255)) == 0


def test_identical_pictures_have_a_finite_psnr(photographs):
    assert psnr(squared_error(photographs[1], photographs[1])) == 100


def test_pooled_psnr_is_of_the_pooled_error():
    base = np.full((4, 4, 3), 0.5, np.float32)
    metric = PSNR()
    sums = None
    for i, offset in enumerate((0.1, 0.01)):
        found = metric.measure([FramePair(i, base + np.float32(offset), base)])
        assert found is not None
        sums = found if sums is None else sums + found
    per_frame, pooled = metric.values(sums)
    assert per_frame == pytest.approx(30, abs=1e-3)
    assert pooled == pytest.approx(-10 * math.log10((0.01 + 0.0001) / 2), abs=1e-3)


def test_ssim_equals_scikit_image(photographs):
    result, ground_truth = (picture.astype(np.float64) for picture in photographs)
    expected = structural_similarity(
        result,
        ground_truth,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=2,
    )
    assert ssim(result, ground_truth) == pytest.approx(expected, abs=1e-9)


def test_ssim_of_float32_pictures(photographs):
    wide = ssim(*(picture.astype(np.float64) for picture in photographs))
    assert ssim(*photographs) == pytest.approx(wide, abs=1e-9)


def test_ms_ssim_equals_pytorch_msssim(photographs):
    # pytorch-msssim 1.0.0, ms_ssim(data_range=1, win_size=11) in float64 on these very pictures.
    assert ms_ssim(*photographs) == pytest.approx(MS_SSIM, abs=2e-6)


MS_SSIM = 0.9506346944382805


@given(st.integers(0, 2**32 - 1), st.integers(11, 24), st.integers(11, 24))
def test_ssim_is_symmetric_and_1_for_equal_pictures(seed, height, width):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, height, width, 3))
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-12)
    assert ssim(a, a) == pytest.approx(1)
    assert ssim(a, b) < 1


def test_too_small_pictures_are_refused():
    tiny = np.zeros((10, 40, 3))
    with pytest.raises(InputError) as caught:
        ssim(tiny, tiny)
    assert "40x10" in caught.value.seen
    with pytest.raises(InputError) as caught:
        ms_ssim(np.zeros((160, 400, 3)), np.zeros((160, 400, 3)))
    assert "161" in caught.value.wanted


def test_colorfulness_of_gray_is_zero():
    ramp = np.repeat(np.linspace(0, 1, 64, dtype=np.float32)[:, None, None], 3, axis=2).repeat(4, axis=1)
    assert colorfulness(ramp) == pytest.approx(0, abs=1e-4)


def test_colorfulness_by_hand():
    # Half pure red (rg 255, yb 127.5), half pure blue (rg 0, yb -255).
    picture = np.zeros((2, 2, 3), np.float32)
    picture[0, :, 0], picture[1, :, 2] = 1, 1
    expected = math.hypot(127.5, 191.25) + 0.3 * math.hypot(127.5, 63.75)
    assert colorfulness(picture) == pytest.approx(expected)


def test_frames_given_painted_do_not_count(photographs):
    pair = FramePair(0, *photographs, scored=False)
    assert [metric.measure([pair]) for metric in (PSNR(), SSIM(), Colorfulness())] == [None, None, None]
