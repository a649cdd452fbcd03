"""A folder of weights of Shi et al. 2023 -> its networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from celpaint.errors import OptionError, WeightsError
from celpaint.models.shi2023.config import RefinementConfig, TransformConfig
from celpaint.models.shi2023.refinement import TemporalRefinement
from celpaint.models.shi2023.transform import ColorTransform
from celpaint.weights.store import load_network, read_config, read_tensors

__all__ = ["Networks", "build_part", "load"]

_BUILDERS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "transform": lambda config: ColorTransform(TransformConfig(**config)),
    "refinement": lambda config: TemporalRefinement(RefinementConfig(**config)),
}


@dataclass(frozen=True)
class Networks:
    """Both networks, in evaluation mode."""

    transform: ColorTransform
    refinement: TemporalRefinement


def build_part(part: str, config: Mapping[str, Any], source: object) -> nn.Module:
    """An empty network on ``meta``.

    Raises:
        WeightsError: the config does not describe such a network.
    """
    with torch.device("meta"):
        return _built(part, config, source)


def load(folder: Path) -> Networks:
    """Both networks in evaluation mode, on the CPU in float32.

    Raises:
        WeightsError: a part is missing, broken or of another network.
    """

    def network(part: str) -> Any:
        empty = _built(part, read_config(folder / part), folder / part)
        return load_network(empty, read_tensors(folder / part), source=folder / part)

    return Networks(network("transform"), network("refinement"))


def _built(part: str, config: Mapping[str, Any], source: object) -> nn.Module:
    try:
        return _BUILDERS[part](config)
    except (OptionError, TypeError, ValueError) as error:
        raise WeightsError(
            f"'{source}' does not describe the {part} network of Shi et al. 2023 ({error})",
            wanted="the config the weights were made with",
        ) from None
