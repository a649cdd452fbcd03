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


def test_the_map_is_the_same_bytes_wherever_the_picture_lies() -> None:
    line = (np.random.default_rng(0).random((33, 47)) < 0.05).astype(np.float32)
    wanted = distance_transform_edt(line < 0.5).astype(np.float32)
    kept = []
    for size in range(100):
        kept.append(np.empty(1000 + 13 * size))  # moves what is allocated next
        assert np.array_equal(distance_map(line), wanted)
