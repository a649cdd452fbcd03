from __future__ import annotations

from pathlib import Path

import pytest

import copycat
from shots import make_shot


@pytest.fixture
def shot(tmp_path: Path) -> tuple[Path, Path]:
    """Ten line frames and a painted key of the first."""
    return make_shot(tmp_path / "shot")


@pytest.fixture(autouse=True, scope="session")
def _copycat() -> None:
    copycat.register()
