"""The entry of ``nearest``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from celpaint.errors import WeightsError
from celpaint.methods.spec import MethodSpec
from celpaint.options import ComputeOptions, option
from celpaint.weights.kinds import CheckpointKind, Converter, FolderKind, Published
from celpaint.weights.store import read_config


@dataclass(frozen=True, kw_only=True)
class NearestOptions(ComputeOptions):
    """The nearest painting, tinted by a network of three numbers."""

    tint: float = option(1.0, "strength of the tint", ge=0, le=1, step=0.1)


def _is_nearest(folder: Path) -> bool:
    try:
        return read_config(folder).get("_class_name") == "Tint"
    except WeightsError:
        return False


SPEC = MethodSpec(
    name="nearest",
    title="Nearest painting",
    options=NearestOptions,
    run="nearest.run:Nearest",
    uses=frozenset({"hints"}),
    confidence=True,
    weights=FolderKind(
        title="weights of the method nearest",
        recognizes=_is_nearest,
        use="celpaint colorize ... --method nearest --weights '{path}'",
        build="nearest.run:build",
    ),
    checkpoints=(
        CheckpointKind(
            title="a foreign tint",
            marks=("foreign.tint",),
            use="convert it",
            license="none",
            prefixes={"tint": "foreign."},
            check="nearest.run:check",
        ),
    ),
    published=(Published("tint", "a tint", "owner/tint", "tint.safetensors", "CC0"),),
    converters=(
        Converter(
            title="nearest, from a foreign tint",
            sources={"tint": "a foreign tint"},
            run="nearest.run:convert",
            example="celpaint weights convert --tint tint.safetensors --out DIR",
        ),
    ),
    ablations={"tint": "nearest.run:Untinted"},
)
