"""What the documents show works: Python runs, command lines parse, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from celpaint.cli.app import app
from celpaint.errors import WeightsError
from celpaint.weights.registry import find_weights
from shots import make_shot, paint_key

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S)


def commands() -> list[str]:
    text = "\n".join(block for document in DOCUMENTS for block in blocks(document, "sh")).replace("\\\n", " ")
    lines = text.splitlines()
    return sorted({line.split("#")[0].strip() for line in lines if line.startswith("celpaint ")})


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command: str) -> None:
    app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)


@pytest.mark.parametrize("number", range(len(blocks(ROOT / "docs" / "usage.md", "python"))))
def test_python_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        find_weights("matcher", "small")
    except WeightsError:
        pytest.skip("the package has no weights yet")
    lines, _ = make_shot(tmp_path, 3)
    lines.rename(tmp_path / "cut05")
    paint_key(2).save(tmp_path / "key3.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks(ROOT / "docs" / "usage.md", "python")[number], "usage.md", "exec"), {"__name__": "usage"})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8"))
    links += re.findall(r'src="([^"]+)"', document.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []
