"""A method's name and some options -> that method's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from celpaint.errors import OptionError
from celpaint.methods.base import METHODS
from celpaint.methods.options import ComputeOptions
from celpaint.weights.registry import find_weights

__all__ = ["choose_method", "method_name"]

LVCD_EXTRA = "diffusers"
"""What the extra that LVCD wants brings along."""


def choose_method(method: str | ComputeOptions, given: Mapping[str, Any]) -> ComputeOptions:
    """The options of the method wanted, with those ``given`` filled in.

    Args:
        method: a name in :data:`~celpaint.methods.base.METHODS`, ``auto``, or options to start from. ``auto`` is the
            method of the weights that are given, the only one that has the options that are given, or else LVCD on a
            GPU and the matcher on a CPU (or where LVCD's extra is not installed).
        given: options by field name.

    Raises:
        OptionError: no such method, no such option, one of another method, or a value it can't have.
        WeightsError: ``auto`` is to go by weights that are not there.
    """
    if isinstance(method, str):
        if method not in ("auto", *METHODS):
            raise OptionError(f"--method is {method!r}", wanted=f"auto, {' or '.join(METHODS)}")
        chosen = _auto(given) if method == "auto" else method
        options: ComputeOptions | type[ComputeOptions] = METHODS[chosen]
    else:
        chosen, options = method_name(method), method
    known = {field.name for field in fields(options)}
    for name in given:
        if name not in known:
            raise _stray(name, chosen, by_itself=method == "auto")
    return options(**given) if isinstance(options, type) else replace(options, **given)


def method_name(options: ComputeOptions) -> str:
    """The name of the method whose options these are."""
    return next(name for name, cls in METHODS.items() if cls is type(options))


def _auto(given: Mapping[str, Any]) -> str:
    """By the weights where they are given, else by options that one method alone has, else by the device."""
    weights = given.get("weights", "small")
    if weights != "small":
        return "lvcd" if (find_weights("matcher", weights) / "unet").is_dir() else "matcher"
    able = [name for name, cls in METHODS.items() if given.keys() <= {field.name for field in fields(cls)}]
    if len(able) == 1:
        return able[0]
    from celpaint.device import resolve_device

    fast = resolve_device(given.get("device", "auto")).type != "cpu"
    return "lvcd" if fast and find_spec(LVCD_EXTRA) is not None else "matcher"


def _stray(name: str, chosen: str, *, by_itself: bool) -> OptionError:
    flag = f"--{name.replace('_', '-')}"
    owners = [owner for owner, cls in METHODS.items() if any(field.name == name for field in fields(cls))]
    if owners:
        why = " (chosen by itself: --method auto)" if by_itself else ""
        return OptionError(
            f"{flag} is an option of the method {' and '.join(owners)}, and the method here is {chosen}{why}",
            todo=f"Add --method {owners[0]}, or leave {flag} out.",
        )
    every = {field.name for cls in METHODS.values() for field in fields(cls)}
    close = get_close_matches(name, every, n=1)
    return OptionError(f"there is no option {name!r}", wanted=repr(close[0]) if close else ", ".join(sorted(every)))
