"""Rules of the source tree that no import contract can state."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

import celpaint
from celpaint.methods.registry import method_names
from celpaint.types import Condition

ROOT = Path(celpaint.__file__).parent
APART = ("train", "data", "metrics", "benchmark", "models", "sampling", "cli/evaluate.py", "cli/benchmark.py")
"""Where a name may also be that of a network, a trainer, a paper's protocol, or the subject of a study."""


def code_words(path: Path) -> set[str]:
    """String constants that are exactly a method's name, and modules imported, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    words: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            words.add(node.value)
        elif isinstance(node, ast.ImportFrom) and node.module:
            words.add(node.module)
        elif isinstance(node, ast.Import):
            words |= {alias.name for alias in node.names}
    return words


@pytest.mark.parametrize("name", method_names())
def test_nothing_on_the_coloring_path_asks_for_a_method_by_name(name: str) -> None:
    package = name.replace("-", "_")
    module = rf"^celpaint\.methods\.{package}\b"
    asks = re.compile(module if name in get_args(Condition) else rf"^{name}$|{module}")  # a palette is a condition too
    own = [ROOT / "methods" / package, ROOT / "methods" / "registry.py", *(ROOT / part for part in APART)]
    guilty = [
        str(path.relative_to(ROOT))
        for path in sorted(ROOT.rglob("*.py"))
        if not any(path.is_relative_to(each) for each in own)
        and not (path.is_relative_to(ROOT / "methods") and path.name == "spec.py")
        and any(asks.match(word) for word in code_words(path))
    ]
    assert guilty == [], f"these files ask for the method {name}"
