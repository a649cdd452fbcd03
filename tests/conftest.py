from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

import copycat
from official_files import Official, make_official
from shots import make_shot

settings.register_profile("patient", deadline=None)  # how long an example takes says more about the machine's load
settings.load_profile("patient")


@pytest.fixture
def shot(tmp_path: Path) -> tuple[Path, Path]:
    """Ten line frames and a painted key of the first."""
    return make_shot(tmp_path / "shot")


@pytest.fixture(autouse=True, scope="session")
def _copycat() -> None:
    copycat.register()


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> Official:
    """Toy versions of the published checkpoints, and the folder converted from them."""
    return make_official(tmp_path_factory.mktemp("official"))
