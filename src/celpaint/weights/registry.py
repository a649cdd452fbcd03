"""Find the weights of a method, and list the packaged ones."""

from __future__ import annotations

import re
from collections.abc import Collection
from importlib import resources
from pathlib import Path

from celpaint.errors import WeightsError

__all__ = ["HUB_ID", "find_weights", "packaged", "stated_license"]

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
"""``owner/name``, with ``@revision`` where one is wanted."""


def packaged() -> dict[str, Path]:
    """The weights in the package, by method."""
    folder = Path(str(resources.files("celpaint.weights") / "packaged"))
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()} if folder.is_dir() else {}


def find_weights(method: str, name: str, *, parts: Collection[str] = (), obtain: str = "") -> Path:
    """The folder of a method's weights.

    Args:
        method: the method's name.
        name: ``small`` or ``METHOD/small`` for those in the package, a folder, or a Hugging Face hub id
            ``owner/name[@revision]``, which is fetched once and kept in the hub's own cache.
        parts: subfolders of the method's weights that hold a network each; no others are fetched.
        obtain: how to come by weights where the package has none, full sentences.

    Raises:
        WeightsError: no such weights, or they can't be fetched.
        MissingExtra: a hub id, and the package that fetches it is not installed.
    """
    if name in ("small", f"{method}/small"):
        if method in (found := packaged()):
            return found[method]
        raise WeightsError(
            f"this version of celpaint has no small weights for the method {method}",
            todo=obtain
            or "Give others with --weights DIR (`celpaint weights list` shows where there are some), or take a "
            f"method that has small weights: {', '.join(found) or 'none'}.",
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise WeightsError(
            f"'{name}' is a file",
            wanted="a folder with config.json and safetensors files",
            todo=f"See what to do with it: celpaint weights info '{name}'",
        )
    owner, _, which = name.partition("/")
    if which == "small" and owner in packaged():
        raise WeightsError(f"'{name}' are weights of the method {owner}", wanted=f"weights of {method}")
    if HUB_ID.fullmatch(name):
        from celpaint.weights.hub import fetch

        return fetch(name, tuple(parts))
    raise WeightsError(
        f"there are no weights '{name}' for the method {method}",
        wanted="'small', a folder with config.json and safetensors files, or a hub id like owner/name",
    )


def stated_license(folder: Path) -> str:
    """The license that the card (``README.md``) in a folder of weights states."""
    card = folder / "README.md"
    if card.is_file():
        for paragraph in card.read_text(encoding="utf-8").split("\n\n"):
            if "license" in paragraph.lower():
                sentence = " ".join(paragraph.split())
                return sentence.partition(": ")[2].partition(". ")[0].rstrip(".") or sentence
    return "none stated"
