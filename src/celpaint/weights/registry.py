"""Where a method's weights are."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from celpaint.errors import WeightsError

__all__ = ["find_weights"]


def find_weights(method: str, name: str) -> Path:
    """The folder of a method's weights.

    Args:
        method: the method's name.
        name: ``small`` for those in the package, or a folder.

    Raises:
        WeightsError: no such folder.
    """
    folder = Path(str(resources.files("celpaint.weights") / "packaged" / method)) if name == "small" else Path(name)
    if not folder.is_dir():
        raise WeightsError(
            f"there are no weights '{name}' for the method {method}",
            wanted="'small' or a folder with config.json and safetensors files",
        )
    return folder
