"""A folder of the matcher's weights -> its network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from celpaint.errors import WeightsError
from celpaint.models.matcher.network import Matcher
from celpaint.weights.store import load_network, read_config, read_tensors

__all__ = ["build", "load"]


def build(part: str, config: Mapping[str, Any], source: object) -> Matcher:
    """An empty network on ``meta``.

    Raises:
        WeightsError: the config does not describe a matcher.
    """
    try:
        with torch.device("meta"):
            return Matcher(**config)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"'{source}' does not describe a matcher ({error})") from None


def load(folder: Path) -> Matcher:
    """The network in evaluation mode, on the CPU in the stored number format.

    Raises:
        WeightsError: missing, broken or of another network.
    """
    return load_network(Matcher(**read_config(folder)), read_tensors(folder), source=folder)
