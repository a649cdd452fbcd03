"""Seeds derived from numbers, the same on every machine and Python version."""

from __future__ import annotations

import numpy as np

__all__ = ["derive_seed"]


def derive_seed(*numbers: int) -> int:
    """A seed in [0, 2**63) for this sequence of non-negative integers; other sequences get unrelated seeds.

    It is NumPy's ``SeedSequence``, whose values NumPy promises never to change (Python's ``hash`` promises nothing).
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
