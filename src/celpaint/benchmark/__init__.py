"""Benchmarks: run methods and baselines on suites of shots, measure them as the papers do, write reports.

>>> from celpaint.benchmark import evaluate
>>> print(evaluate(Path("out"), Path("original"), lines=Path("lines")).markdown())  # doctest: +SKIP
"""

from celpaint.benchmark.evaluation import Report, evaluate
from celpaint.benchmark.runner import benchmark

__all__ = ["Report", "benchmark", "evaluate"]
