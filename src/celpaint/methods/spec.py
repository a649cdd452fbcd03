"""What a method declares before anything of it is loaded. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from celpaint.errors import MissingExtra
from celpaint.options import ComputeOptions
from celpaint.types import Condition
from celpaint.weights.kinds import CheckpointKind, Converter, FolderKind, Published
from celpaint.weights.registry import find_weights

__all__ = ["DEFAULT_REQUIRES", "Extra", "MethodSpec", "Rank"]


DEFAULT_REQUIRES: frozenset[Condition] = frozenset({"lines", "references"})
"""What a method requires by default."""


@dataclass(frozen=True)
class Extra:
    """The optional packages a method needs.

    Attributes:
        name: of the extra: ``pip install 'celpaint[name]'``.
        package: one that the extra brings, by which it is known to be there.
    """

    name: str
    package: str

    @property
    def installed(self) -> bool:
        """Whether it is."""
        return find_spec(self.package) is not None


@dataclass(frozen=True, kw_only=True)
class Rank:
    """A measured result of a method; ``auto`` chooses the method with the highest rank.

    Attributes:
        psnr: dB. Ranks are compared with each other, so all are measured on the films and with the protocol of
            ``docs/results/lvcd_small.md``: clean lines, 15 frames from the painting.
        source: the document that has the figure.
        conditions: what a shot must have, beside what the method requires, for the figure to hold.
        devices: where it holds: ``cpu``, ``cuda``, ``mps``; () = anywhere.
    """

    psnr: float
    source: str
    conditions: frozenset[Condition] = frozenset()
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """The spec of a method: everything that the rest of celpaint needs to know about it.

    Classes and functions are named as ``module:name`` and imported when they are wanted.

    Attributes:
        name: what ``--method`` calls it.
        title: its name in text.
        paper: the publication, empty if there is none.
        options: its options; the class belongs to this method alone.
        run: the class of :class:`~celpaint.methods.base.Method` that colors, with a ``load(options)``.
        requires: the conditions that a shot must have.
        uses: further conditions that it can use.
        confidence: whether it returns its confidence.
        any_reference: whether it colors from a picture that shows something else than the drawing.
        ranks: figures for ``auto``; without any, ``auto`` takes it only where no ranked method will do.
        extra: the optional packages it needs.
        save_memory: a sentence that says what to do if memory runs out.
        weights: its own weights on disk; None for a method without.
        related: other folders it knows: parts of its weights, what its weights are made from.
        checkpoints: foreign files it knows.
        published: weights published elsewhere that :attr:`converters` can read.
        converters: offered to ``celpaint weights convert``.
        ablations: parts that a benchmark can remove, with the class that runs without them.
        tasks: kinds of training, with their task classes.
    """

    name: str
    title: str
    paper: str = ""
    options: type[ComputeOptions]
    run: str
    requires: frozenset[Condition] = DEFAULT_REQUIRES
    uses: frozenset[Condition] = frozenset()
    confidence: bool = False
    any_reference: bool = False
    ranks: tuple[Rank, ...] = ()
    extra: Extra | None = None
    save_memory: str = "Lower --size (for example 576x320)."
    weights: FolderKind | None = None
    related: tuple[FolderKind, ...] = ()
    checkpoints: tuple[CheckpointKind, ...] = ()
    published: tuple[Published, ...] = ()
    converters: tuple[Converter, ...] = ()
    ablations: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)

    def find_weights(self, name: str) -> Path:
        """The folder of the weights called ``name``; see :func:`~celpaint.weights.registry.find_weights`."""
        if self.weights is None:
            return find_weights(self.name, name)
        return find_weights(self.name, name, parts=self.weights.parts, obtain=self.weights.obtain)

    def weight_files(self, options: ComputeOptions) -> list[Path]:
        """Every file of the weights that these options name; they decide the result's bytes.

        Raises:
            WeightsError: the weights are not there.
        """
        if self.weights is None:
            return []
        return sorted(file for file in self.find_weights(options.weights).rglob("*") if file.is_file())

    def check_extra(self) -> None:
        """Look whether the optional packages are there, before any work.

        Raises:
            MissingExtra: they are not.
        """
        if self.extra is not None and not self.extra.installed:
            raise MissingExtra(self.extra.package, self.extra.name)
