"""The networks of Shi et al. 2023 at toy size, as if they had been trained."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from celpaint.methods.shi2023.weights import Networks
from celpaint.models.shi2023.config import RefinementConfig, TransformConfig
from celpaint.models.shi2023.refinement import TemporalRefinement
from celpaint.models.shi2023.transform import ColorTransform
from celpaint.weights.store import write_network

TRANSFORM = TransformConfig(
    widths=(4, 6, 8),
    key=4,
    value=7,
    embedder=(4, 8),
    blocks=1,
    entry_kernel=3,
    upsample_kernel=3,
    exit_kernel=3,
)
REFINEMENT = RefinementConfig(widths=(4, 4, 8), dilations=(2,))


def toy_networks() -> Networks:
    """Lines, references, style and neighboring frames all make a difference."""
    torch.manual_seed(0)
    networks = Networks(ColorTransform(TRANSFORM).eval(), TemporalRefinement(REFINEMENT).eval())
    with torch.no_grad():
        for parameter in (*networks.transform.parameters(), *networks.refinement.parameters()):
            parameter += 0.05 * torch.randn_like(parameter)
    return networks


def write_toy_weights(folder: Path) -> Path:
    """A folder of weights that the method reads."""
    networks = toy_networks()
    write_network(folder / "transform", asdict(TRANSFORM), networks.transform.state_dict())
    write_network(folder / "refinement", asdict(REFINEMENT), networks.refinement.state_dict())
    return folder
