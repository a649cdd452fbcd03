"""Pictures at another size: means where they shrink, interpolation where they grow."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from celpaint.frames.resize import resize, resize_tensor


@pytest.fixture
def picture():
    return np.random.default_rng(0).random((12, 16, 3)).astype(np.float32)


def test_the_same_size_is_the_same_picture(picture):
    assert resize(picture, (12, 16)) is picture
    tensor = torch.from_numpy(picture)[None]
    assert resize_tensor(tensor, (16, 3)) is tensor


def test_shrinking_by_a_whole_factor_takes_the_mean_of_every_block(picture):
    wanted = picture.reshape(4, 3, 4, 4, 3).mean((1, 3))
    np.testing.assert_allclose(resize(picture, (4, 4)), wanted, atol=1e-6)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None]
    np.testing.assert_allclose(resize_tensor(tensor, (4, 4))[0].permute(1, 2, 0), wanted, atol=1e-6)


def test_enlarging_interpolates_as_the_libraries_do(picture):
    np.testing.assert_array_equal(resize(picture, (24, 20)), cv2.resize(picture, (20, 24)))
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None]
    wanted = F.interpolate(tensor, (24, 20), mode="bilinear", antialias=True)
    torch.testing.assert_close(resize_tensor(tensor, (24, 20)), wanted)


def test_cubic_overshoot_is_clipped():
    step = np.zeros((8, 8, 3), np.float32)
    step[:, 4:] = 1
    assert cv2.resize(step, (32, 32), interpolation=cv2.INTER_CUBIC).max() > 1
    for larger in (
        resize(step, (32, 32), "cubic"),
        resize_tensor(torch.from_numpy(step).permute(2, 0, 1)[None], (32, 32), "cubic").numpy(),
    ):
        assert larger.min() == 0
        assert larger.max() == 1


def test_the_type_stays(picture):
    pixels = (picture * 255).astype(np.uint8)
    assert resize(pixels, (6, 8)).dtype == np.uint8
    assert resize_tensor(torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16), (4, 4)).dtype == torch.bfloat16
