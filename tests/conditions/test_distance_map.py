import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import distance_transform_edt

from celpaint.conditions.distance import distance_map


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, (17, 23), elements=st.sampled_from([0, 0, 0, 0, 0, 0.4, 0.5, 1])))
def test_it_is_the_euclidean_distance_to_ink(line: np.ndarray):
    distance = distance_map(line)
    assert distance.dtype == np.float32
    if (line < 0.5).all():
        np.testing.assert_allclose(distance, np.hypot(17, 23))
    else:
        np.testing.assert_allclose(distance, distance_transform_edt(line < 0.5), atol=1e-3)


def test_it_is_exact_wherever_the_arrays_lie_in_memory():
    """Bits that depend on the memory would make resumed runs differ."""
    line = np.zeros((40, 56), np.float32)
    line[8:30:21, 14:36] = 1
    exact = distance_transform_edt(line < 0.5).astype(np.float32)
    elsewhere = [np.zeros(1000 * n, np.uint8) for n in range(1, 20)]
    for _ in elsewhere:
        np.testing.assert_array_equal(distance_map(line.copy()), exact)
