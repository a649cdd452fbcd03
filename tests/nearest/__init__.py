"""A complete method in one folder, as somebody outside the package would write it: registering it is all it takes."""

from __future__ import annotations

from celpaint.methods.registry import register as register_method


def register() -> None:
    """Make ``--method nearest`` known to this process."""
    register_method("nearest", "nearest.spec:SPEC")
