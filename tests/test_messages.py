"""What the program says can be printed on every console."""

from __future__ import annotations

import ast
from pathlib import Path

import celpaint

SOURCES = sorted(Path(celpaint.__file__).parent.rglob("*.py"))
IN_REPORTS = {"benchmark/summary.py"}
"""Texts that go into report files, which are UTF-8, and never to a console."""


def texts(source: Path) -> list[tuple[int, str]]:
    """All strings of a module but those that stand alone, which are documentation."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in alone)
    return [(node.lineno, node.value) for node in constants if isinstance(node.value, str)]


def test_every_message_can_be_encoded_for_a_western_windows_console():
    """Windows writes redirected output in cp1252, where an arrow or a multiplication dot ends a run."""
    root = Path(celpaint.__file__).parent
    bad = [
        f"{source}:{line}: {text!a}"
        for source in SOURCES
        if source.relative_to(root).as_posix() not in IN_REPORTS
        for line, text in texts(source)
        if text.encode("cp1252", errors="replace").decode("cp1252") != text
    ]
    assert len(SOURCES) > 50
    assert not bad
