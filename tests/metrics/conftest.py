"""Pictures to measure."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from cel_film import Picture


@pytest.fixture(scope="session")
def photographs() -> tuple[Picture, Picture]:
    """A photograph and a spoilt copy, ``400 496 3`` in [0, 1]."""
    ground_truth = data.astronaut()[:400, :496].astype(np.float32) / 255
    blurred = cv2.GaussianBlur(ground_truth, (0, 0), 1.2)
    stripes = 0.03 * np.sin(np.arange(496, dtype=np.float32) / 9)[None, :, None]
    return np.clip(blurred * 0.9 + stripes, 0, 1), ground_truth
