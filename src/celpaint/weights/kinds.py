"""What weights on disk may be, as methods describe it: folders of networks, foreign checkpoints, what converts them.

Methods list these in their specs; :mod:`celpaint.weights.inspect` and the command line are given them. Functions are
named as ``module:name`` and imported when they are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["CheckpointKind", "Converter", "FolderKind", "Published", "load_object"]


def load_object(where: str) -> Any:
    """What ``module:name`` names, imported now."""
    module, name = where.split(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True, kw_only=True)
class FolderKind:
    """A folder with networks that celpaint reads as they are.

    Attributes:
        title: what it is, such as ``weights of the method matcher``.
        recognizes: whether a folder is of this kind, from its subfolders and config; never raises.
        use: what it is good for; ``{path}`` stands for the folder.
        build: ``(part, config, source) -> torch.nn.Module``, without memory for its weights (on ``meta``); raises
            :class:`~celpaint.errors.WeightsError` where the config does not describe such a network. ``part`` is the
            subfolder, or empty for a folder that is one network.
        parts: names of subfolders that hold a network each; () where the folder itself is one network.
        needs: of each group, one part must be there.
        license: of the weights, given the folder; None: what the card beside them states.
        card: ``(folder) -> Mapping[str, object]``, the settings stored with them; empty: none.
        obtain: how to come by such weights where the package has none, full sentences.
    """

    title: str
    recognizes: Callable[[Path], bool]
    use: str
    build: str
    parts: tuple[str, ...] = ()
    needs: tuple[tuple[str, ...], ...] = ()
    license: Callable[[Path], str] | None = None
    card: str = ""
    obtain: str = ""


@dataclass(frozen=True, kw_only=True)
class CheckpointKind:
    """A foreign checkpoint file, known by its tensors' names.

    Attributes:
        title: what it is.
        marks: name prefixes; a file is of this kind if each of them begins some name.
        use: what it is good for.
        license: of the weights.
        prefixes: network -> what its tensors' names begin with.
        check: ``(tensors, path) -> Iterator[Check]``: whether names and shapes are those of the networks.
    """

    title: str
    marks: tuple[str, ...]
    use: str
    license: str
    prefixes: Mapping[str, str]
    check: str

    def recognizes(self, names: Collection[str]) -> bool:
        """Whether tensors of these names are of this kind."""
        return all(any(name.startswith(mark) for name in names) for mark in self.marks)


@dataclass(frozen=True)
class Published:
    """Weights published elsewhere that can be converted. None of them are part of celpaint.

    Attributes:
        name: what to call them.
        what: what they are.
        repo: on the Hugging Face hub.
        file: in it.
        license: under which they may be used.
    """

    name: str
    what: str
    repo: str
    file: str
    license: str

    @property
    def page(self) -> str:
        """Where people read about it."""
        return f"https://huggingface.co/{self.repo}"


@dataclass(frozen=True, kw_only=True)
class Converter:
    """Foreign weights -> a folder of a method's weights.

    Attributes:
        title: what comes out, for people.
        sources: option of the command line -> its help, in the order in which ``run`` takes them.
        optional: those sources that may be left out; ``run`` is given None for them.
        run: ``(*sources: Path, out: Path, *, dtype: "fp16" | "fp32", say: Callable[[str], None]) -> Path``.
        example: the command with files as they are usually called.
    """

    title: str
    sources: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    run: str
    example: str

    def takes(self, given: Collection[str]) -> bool:
        """Whether it can do with these sources and makes use of all of them."""
        return self.sources.keys() - self.optional <= set(given) <= self.sources.keys()
