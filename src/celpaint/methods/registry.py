"""All methods by name, and the choice of the method for a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, cast

from celpaint.errors import InputError, OptionError, ReferenceFrameError, WeightsError
from celpaint.methods.base import Method
from celpaint.methods.spec import DEFAULT_REQUIRES, MethodSpec
from celpaint.options import ComputeOptions, alternatives, flag, refuse
from celpaint.types import ColorHint, Condition
from celpaint.weights.inspect import Catalog
from celpaint.weights.kinds import CheckpointKind, Converter, FolderKind, Published, load_object
from celpaint.weights.registry import find_weights, packaged

__all__ = [
    "all_parts",
    "catalog",
    "check_conditions",
    "choose_method",
    "converters",
    "default_method",
    "given_conditions",
    "load_method",
    "method_name",
    "method_names",
    "method_spec",
    "method_specs",
    "published_weights",
    "register",
    "spec_of",
    "style_method",
    "weight_files",
]

_SPECS = {
    "lvcd": "celpaint.methods.lvcd.spec:SPEC",
    "matcher": "celpaint.methods.matcher.spec:SPEC",
    "palette": "celpaint.methods.palette.spec:SPEC",
    "shi2023": "celpaint.methods.shi2023.spec:SPEC",
    "colorize-diffusion": "celpaint.methods.colorize_diffusion.spec:SPEC",
}
"""One line a method."""


def register(name: str, spec: str) -> None:
    """Make a method known to this process.

    Args:
        name: what ``--method`` calls it.
        spec: ``module:name`` of its :class:`~celpaint.methods.spec.MethodSpec`.
    """
    _SPECS[name] = spec


def method_names() -> tuple[str, ...]:
    """The names of all methods."""
    return tuple(_SPECS)


def method_spec(name: str) -> MethodSpec:
    """The spec of a method.

    Raises:
        OptionError: no such method.
    """
    if name not in _SPECS:
        *others, last = _SPECS
        raise OptionError(f"--method is {name!r}", wanted=f"{', '.join(['auto', *others])} or {last}")
    return _load_spec(_SPECS[name])


@cache
def _load_spec(where: str) -> MethodSpec:
    return cast("MethodSpec", load_object(where))


def method_specs() -> dict[str, MethodSpec]:
    """Every method's entry, by name."""
    return {name: method_spec(name) for name in _SPECS}


def spec_of(options: ComputeOptions) -> MethodSpec:
    """The entry of the method whose options these are."""
    return next(spec for spec in method_specs().values() if spec.options is type(options))


def method_name(options: ComputeOptions) -> str:
    """The name of the method whose options these are."""
    return spec_of(options).name


def style_method() -> MethodSpec:
    """The method that colors a drawing from a picture that shows something else."""
    return next(spec for spec in method_specs().values() if spec.any_reference)


def load_method(options: ComputeOptions) -> Method:
    """The method whose options these are, with its networks loaded.

    Raises:
        MissingExtra: its optional packages are not installed.
        WeightsError: weights missing or of another network.
        DeviceError: the requested device is not available.
    """
    spec = spec_of(options)
    spec.check_extra()
    return cast("Method", load_object(spec.run).load(options))


def weight_files(options: ComputeOptions) -> list[Path]:
    """Every weight file that decides what these options make, those of methods run inside the method too.

    Raises:
        WeightsError: the weights are not there.
    """
    return [file for each in (options, *options.inner()) for file in spec_of(each).weight_files(each)]


# -- which method -------------------------------------------------------------------------------------------------


def choose_method(
    method: str | ComputeOptions,
    given: Mapping[str, Any],
    conditions: frozenset[Condition] = DEFAULT_REQUIRES,
    *,
    confidence: bool = False,
) -> ComputeOptions:
    """The options of the method wanted, with those ``given`` filled in.

    Args:
        method: a method's name, ``auto``, or options to start from. ``auto`` takes, of the methods whose weights and
            whose options are given, that can use what is known of the shot and whose packages are installed, the one
            that measured best: the highest :class:`~celpaint.methods.spec.Rank`.
        given: options by field name.
        conditions: what is known of the shot.
        confidence: whether the method is to say how sure it is.

    Raises:
        OptionError: no such method, no such option, one of another method, or a value that is not allowed.
        WeightsError: ``auto`` is to go by weights that are not there, or that no method reads.
    """
    auto = method == "auto"
    if isinstance(method, str):
        spec = _best(given, conditions, confidence) if auto else method_spec(method)
    elif isinstance(method, ComputeOptions):
        spec = spec_of(method)
    else:
        raise refuse("method", method, f"auto, {alternatives(method_names())}")
    known = {field.name for field in fields(spec.options)}
    for name in given:
        if name not in known:
            raise _stray(name, spec.name, chosen_by_itself=auto)
    if isinstance(method, str):
        return spec.options.of(given)
    return replace(method, **{name: getattr(spec.options.of({name: given[name]}), name) for name in given})


def _best(given: Mapping[str, Any], conditions: frozenset[Condition], confidence: bool) -> MethodSpec:
    """What ``auto`` takes. Each wish narrows the choice as long as a method is left; what is not met is said later."""
    specs = [spec for spec in method_specs().values() if spec.extra is None or spec.extra.installed]
    if given.get("weights", "small") != "small":
        specs = _readers(str(given["weights"]))
    small = packaged()
    wishes: list[Callable[[MethodSpec], bool]] = [
        lambda spec: "weights" in given or spec.weights is None or spec.name in small,
        lambda spec: _fits(spec, conditions),
        lambda spec: given.keys() <= {field.name for field in fields(spec.options)},
        lambda spec: spec.confidence or not confidence,
    ]
    for wish in wishes:
        specs = [spec for spec in specs if wish(spec)] or specs
    by_device = any(rank.devices for spec in specs for rank in spec.ranks)
    device = _device_type(str(given.get("device", "auto"))) if by_device else ""
    return max(specs, key=lambda spec: _rank(spec, conditions, device))


def _rank(spec: MethodSpec, conditions: frozenset[Condition], device: str) -> float:
    figures = [
        rank.psnr
        for rank in spec.ranks
        if rank.conditions <= conditions and (not rank.devices or device in rank.devices)
    ]
    return max(figures, default=float("-inf"))


def _device_type(name: str) -> str:
    from celpaint.device import resolve_device

    return resolve_device(name).type


def _readers(weights: str) -> list[MethodSpec]:
    """The methods that read these weights."""
    specs = method_specs()
    owner = weights.partition("/")[0]
    if owner in specs and weights == f"{owner}/small":
        return [specs[owner]]
    folder = find_weights("auto", weights, parts=all_parts())
    readers = [spec for spec in specs.values() if spec.weights and spec.weights.recognizes(folder)]
    if not readers:
        raise WeightsError(
            f"'{weights}' has no weights that a method of celpaint can use",
            wanted=f"weights of {' or '.join(specs)}",
            todo=f"See what they are with: celpaint weights info '{weights}'",
        )
    return readers


def _stray(name: str, chosen: str, *, chosen_by_itself: bool) -> OptionError:
    known = {key: {field.name for field in fields(spec.options)} for key, spec in method_specs().items()}
    owners = [owner for owner, names in known.items() if name in names]
    if owners:
        why = " (chosen by --method auto)" if chosen_by_itself else ""
        *first, last = owners
        said = f"the methods {', '.join(first)} and {last}" if first else f"the method {last}"
        return OptionError(
            f"{flag(name)} is an option of {said}, but the method is {chosen}{why}",
            todo=f"Add --method {owners[0]}, or leave {flag(name)} out.",
        )
    every = {each for names in known.values() for each in names}
    close = get_close_matches(name, every, n=1)
    return OptionError(f"there is no option {name!r}", wanted=repr(close[0]) if close else ", ".join(sorted(every)))


# -- what is known of a shot ---------------------------------------------------------------------------------------

_AT_HAND: frozenset[Condition] = frozenset({"lines", "gray"})
"""What the frames themselves show, and nobody gives."""

_IN_WORDS: dict[Condition, str] = {
    "lines": "line art",
    "gray": "gray frames",
    "references": "a painted frame (--reference PICTURE[@FRAME])",
    "palette": "a palette (--palette)",
    "text": "a description (--text)",
    "hints": "color hints",
}


def given_conditions(
    *, reference: Any = (), palette: Any = None, text: str = "", hints: Sequence[ColorHint] = ()
) -> frozenset[Condition]:
    """What is known of a shot by what a user gives, before anything is opened."""
    some = not (isinstance(reference, list | tuple) and not reference)
    known: dict[Condition, bool] = {
        "lines": True,
        "references": some,
        "palette": palette is not None and palette != (),
        "text": bool(text),
        "hints": bool(len(hints)),
    }
    return frozenset(name for name, is_known in known.items() if is_known)


def check_conditions(spec: MethodSpec, given: frozenset[Condition], *, opened: bool = False) -> None:
    """Look whether a method has what it needs, and a use for what was given.

    Args:
        given: what is known of the shot.
        opened: whether the frames were looked at, so that it is known whether they are gray pictures.

    Raises:
        InputError: something the method needs is not given.
        OptionError: something was given of which the method makes no use.
    """
    missing = sorted(spec.requires - given - (frozenset() if opened else {"gray"}))
    if missing == ["gray"]:
        raise InputError(
            f"the method {spec.name} needs gray frames, and these are line art",
            todo="If they are pictures all the same, add --lines extract.",
        )
    if missing:
        kind = ReferenceFrameError if "references" in missing else InputError
        raise kind(
            f"the method {spec.name} needs {' and '.join(_IN_WORDS[each] for each in missing)}, but none was given",
            todo=_others(lambda other: _fits(other, given)),
        )
    useless = sorted(given - spec.requires - spec.uses - _AT_HAND)
    if useless:
        raise OptionError(
            f"the method {spec.name} does not use {' or '.join(_IN_WORDS[each] for each in useless)}",
            wanted="only what the method uses",
            todo=_others(lambda other: _fits(other, given)) or "Leave it out.",
        )


def _fits(spec: MethodSpec, given: frozenset[Condition]) -> bool:
    return spec.requires - {"gray"} <= given and given - _AT_HAND <= spec.requires | spec.uses


def _others(able: Callable[[MethodSpec], bool]) -> str:
    """What to do where another method would do."""
    names = [spec.name for spec in method_specs().values() if able(spec)]
    return f"Leave it out, or use --method {' or '.join(names)}." if names else ""


# -- weights on disk ----------------------------------------------------------------------------------------------


def _folder_kinds() -> list[FolderKind]:
    """Every kind of folder that a method knows: first those that methods color with."""
    specs = method_specs().values()
    own = [spec.weights for spec in specs if spec.weights]
    return list(dict.fromkeys([*own, *(kind for spec in specs for kind in spec.related)]))


def _checkpoint_kinds() -> list[CheckpointKind]:
    """Every kind of foreign checkpoint that a method knows, the most particular first."""
    kinds = [kind for spec in method_specs().values() for kind in spec.checkpoints]
    return sorted(kinds, key=lambda kind: -len(kind.marks))


def converters() -> list[Converter]:
    """What ``celpaint weights convert`` can do."""
    return [converter for spec in method_specs().values() for converter in spec.converters]


def published_weights() -> list[Published]:
    """Weights published elsewhere that can be converted."""
    return list(dict.fromkeys(each for spec in method_specs().values() for each in spec.published))


def catalog() -> Catalog:
    """Everything by which weights are recognized."""
    return Catalog(_folder_kinds(), _checkpoint_kinds())


def all_parts() -> tuple[str, ...]:
    """Every subfolder in which some method has a network."""
    return tuple(dict.fromkeys(part for spec in method_specs().values() if spec.weights for part in spec.weights.parts))


def default_method() -> str:
    """What ``auto`` is where nothing is said."""
    return _best({}, DEFAULT_REQUIRES, False).name
