"""What the documents show works: Python runs, command lines parse, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from celpaint.cli.app import app
from celpaint.errors import WeightsError
from celpaint.weights.registry import find_weights
from shots import make_shot, paint_key

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDE = ROOT / "docs" / "guide" / "color-a-shot.md"


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S)


def commands() -> list[str]:
    text = "\n".join(block for document in DOCUMENTS for block in blocks(document, "sh")).replace("\\\n", " ")
    lines = text.splitlines()
    return sorted({line.split("#")[0].strip() for line in lines if line.startswith("celpaint ")})


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command: str) -> None:
    app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)


@pytest.mark.parametrize("number", range(len(blocks(GUIDE, "python"))))
def test_python_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        find_weights("matcher", "small")
    except WeightsError:
        pytest.skip("the package has no weights yet")
    lines, _ = make_shot(tmp_path, 3)
    lines.rename(tmp_path / "cut05")
    paint_key(2).save(tmp_path / "key3.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks(GUIDE, "python")[number], GUIDE.name, "exec"), {"__name__": "guide"})


def test_the_reference_is_what_the_code_says_now(tmp_path: Path) -> None:
    new = tmp_path / "reference"
    subprocess.run([sys.executable, ROOT / "docs" / "generate.py", new], check=True, timeout=300)
    old = ROOT / "docs" / "reference"
    assert {path.name for path in old.iterdir()} == {path.name for path in new.iterdir()}
    changed = [path.name for path in new.iterdir() if path.read_text("utf-8") != (old / path.name).read_text("utf-8")]
    assert changed == [], "run `make docs`"


def links(document: Path) -> list[Path]:
    """What a document links to or shows, within the repository."""
    text = document.read_text(encoding="utf-8")
    found = re.findall(r"\]\(([^)#]+)[^)]*\)", text) + re.findall(r'src="([^"]+)"', text)
    return [(document.parent / link).resolve() for link in found if "://" not in link]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    assert [link for link in links(document) if not link.exists()] == []


def test_every_document_and_picture_is_linked_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        if document not in reached:
            reached.add(document)
            waiting += links(document) if document.suffix == ".md" and document.exists() else []
    every = {path for path in (ROOT / "docs").rglob("*") if path.suffix in {".md", ".png", ".jpg", ".webp"}}
    assert every - reached == set()
