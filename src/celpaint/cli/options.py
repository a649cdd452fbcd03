"""Dataclass fields -> command-line options. No option is written twice."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, TypeVar, get_type_hints

from cyclopts import Group, Parameter

from celpaint.errors import OptionError

__all__ = ["Size", "given", "takes"]


def _size(_: Any, tokens: Any) -> tuple[int, int]:
    width, cross, height = tokens[0].value.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise OptionError(f"--size is {tokens[0].value!r}", wanted="WIDTHxHEIGHT, for example 576x320")
    return int(width), int(height)


Size = Annotated[
    tuple[int, int],
    Parameter(
        converter=_size,
        metavar="WIDTHxHEIGHT",
        n_tokens=1,
        accepts_keys=False,
        negative=(),
        show_default=lambda size: f"{size[0]}x{size[1]}",
    ),
]
"""(width, height) as ``576x320``."""

F = TypeVar("F", bound=Callable[..., Any])


def takes(groups: Mapping[str, type]) -> Callable[[F], F]:
    """Give a command one option for each field of some dataclasses, in place of its ``**options``.

    An option that is not given stays out of ``options``, so that the dataclass's own default holds; :func:`given`
    drops it. A field that several dataclasses share appears once, in the first group that has it.

    Args:
        groups: dataclasses by title of their group in ``--help``. Each field has a default and ``metadata["help"]``.
    """

    def decorate(command: F) -> F:
        signature = inspect.signature(command)
        hints = get_type_hints(command, include_extras=True)
        parameters = {p.name: p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD}
        hints = {name: hint for name, hint in hints.items() if name in parameters or name == "return"}
        for order, (title, cls) in enumerate(groups.items()):
            group = Group(title, sort_key=order)
            types = get_type_hints(cls)
            for field in fields(cls):
                if field.name not in parameters:
                    hints[field.name] = _annotation(field, types[field.name], group)
                    parameters[field.name] = inspect.Parameter(
                        field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hints[field.name]
                    )
        command.__signature__ = signature.replace(parameters=list(parameters.values()))  # type: ignore[attr-defined]
        command.__annotations__ = hints
        return command

    return decorate


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that were given on the command line."""
    return {name: value for name, value in options.items() if value is not None}


def _annotation(field: Field[Any], kind: Any, group: Group) -> Any:
    default = None if field.default is MISSING else field.default
    shown = (lambda _: default) if default not in (None, False, ()) else False
    if kind == tuple[int, int] | None:
        kind = Size
    return Annotated[
        kind,
        Parameter(help=field.metadata["help"], group=group, negative=(), show_default=shown),
    ]
