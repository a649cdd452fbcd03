"""Measuring results the way the papers do; nothing here is needed to color.

>>> from celpaint.metrics import evaluate
>>> print(evaluate(Path("out"), Path("original"), lines=Path("lines")).markdown())  # doctest: +SKIP
"""

from celpaint.metrics.evaluation import Report, evaluate
from celpaint.metrics.running import benchmark

__all__ = ["Report", "benchmark", "evaluate"]
