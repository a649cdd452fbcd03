"""Benchmarks: run methods and baselines on suites of clips, measure them as the papers do, write reports.

>>> from celpaint.benchmark import evaluate
>>> print(evaluate(Path("out"), Path("ground_truth"), lines=Path("lines")).markdown())  # doctest: +SKIP
"""

from celpaint.benchmark.evaluation import evaluate
from celpaint.benchmark.runner import benchmark
from celpaint.benchmark.score_report import ScoreReport

__all__ = ["ScoreReport", "benchmark", "evaluate"]
