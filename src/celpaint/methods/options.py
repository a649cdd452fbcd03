"""The options of the path and of every method: frozen, validated, torch-free.

The command line, the web page and the nodes are made from them. One dataclass a method; each field carries its help
text in ``metadata["help"]``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from celpaint.errors import OptionError

__all__ = ["ComputeOptions", "LVCDOptions", "MatcherOptions", "PathOptions"]


def option(default: Any, help: str) -> Any:
    """A field with a default and a help text."""
    return field(default=default, metadata={"help": help})


def require(ok: bool, name: str, seen: object, wanted: str) -> None:
    """Raise :class:`OptionError` naming the option, the value seen and what was wanted, unless ``ok``."""
    if not ok:
        raise OptionError(f"--{name.replace('_', '-')} is {seen!r}", wanted=wanted)


def require_choices(options: Any) -> None:
    """Raise :class:`OptionError` where a field of a ``Literal`` type holds none of its values."""
    kinds = get_type_hints(type(options))
    for each in fields(options):
        if get_origin(kinds[each.name]) is Literal:
            choices = get_args(kinds[each.name])
            value = getattr(options, each.name)
            require(value in choices, each.name, value, f"{', '.join(choices[:-1])} or {choices[-1]}")


@dataclass(frozen=True, kw_only=True)
class PathOptions:
    """What the path understands, whatever the method."""

    lines: Literal["auto", "keep", "extract"] = option(
        "auto", "keep: line art, used as drawn; extract: colored pictures, their lines are found; auto: tell which"
    )
    ink: Literal["keep", "model"] = option(
        "keep", "keep: the artist's own lines over the colors; model: all as the method painted it"
    )
    holds: Literal["auto", "off"] = option("auto", "auto: a drawing held for several frames is colored once")

    def __post_init__(self) -> None:
        require_choices(self)


@dataclass(frozen=True, kw_only=True)
class ComputeOptions:
    """What every method understands: which weights, where and how to compute."""

    weights: str = option("small", "'small' (packaged), a folder, or a Hugging Face hub id")
    seed: int = option(0, "seed of all random numbers")
    size: tuple[int, int] | None = option(
        None, "working WIDTHxHEIGHT inside the networks; default: chosen from the shot's aspect"
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:N, mps")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = option("auto", "number format inside the networks")
    offload: bool = option(False, "keep networks in main memory while they are not in use")
    compile: bool = option(False, "compile the networks first (torch.compile)")
    preview: bool = option(False, "one step, for a quick look")

    def __post_init__(self) -> None:
        require_choices(self)
        require(0 <= self.seed < 2**63, "seed", self.seed, "0 or more")
        if self.size is not None:
            require(min(self.size) >= 32 and max(self.size) <= 8192, "size", self.size, "sides from 32 to 8192 pixels")


@dataclass(frozen=True, kw_only=True)
class LVCDOptions(ComputeOptions):
    """LVCD (Huang et al., SIGGRAPH Asia 2024): video diffusion with line art and a reference."""

    steps: int | None = option(None, "denoising steps a segment; default: what the weights' card recommends")
    overlap: int = option(4, "frames shared by neighboring segments (paper section 4.2)")
    guidance: float = option(1.0, "classifier-free guidance scale; 1 = none")
    prev_attention: float = option(1.0, "share of the steps with Prev-Reference Attention, 0 to 1")
    amplify: float = option(10.0, "weight of previous references on overlapped frames (alpha of eq. 7)")
    draft: Literal["auto", "none", "matcher"] = option(
        "auto",
        "matcher: start from the matcher's result instead of noise; auto: where the weights refine a draft",
    )
    draft_sigma: float | None = option(
        None, "noise level the draft is brought to; default: what the weights' card recommends"
    )
    faithful: bool = option(False, "reproduce the official implementation's numbers, its faults included")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.steps is None or 1 <= self.steps <= 1000, "steps", self.steps, "1 to 1000")
        require(0 <= self.overlap <= 12, "overlap", self.overlap, "0 to 12 (a segment has 14 frames)")
        require(1.0 <= self.guidance <= 30.0, "guidance", self.guidance, "1 to 30")
        require(0.0 <= self.prev_attention <= 1.0, "prev_attention", self.prev_attention, "0 to 1")
        require(self.amplify > 0, "amplify", self.amplify, "more than 0")
        level = self.draft_sigma
        require(level is None or level > 0.002, "draft_sigma", level, "more than 0.002, the last noise level")


@dataclass(frozen=True, kw_only=True)
class MatcherOptions(ComputeOptions):
    """The matcher: one feed-forward pass a frame, colors carried over by explicit matching."""

    exact: bool = option(False, "flat cels: every closed region takes exactly one color of the references")
    memory: int = option(1, "frames already colored that serve as further references, for consistency in time")
    tokens: int = option(4096, "matching resolution: at most so many places a frame are compared")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.memory <= 16, "memory", self.memory, "0 to 16")
        require(64 <= self.tokens <= 65536, "tokens", self.tokens, "64 to 65536")
