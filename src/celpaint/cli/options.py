"""Dataclass fields -> command-line options. No option is written twice."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import Field
from typing import Annotated, Any, Literal, TypeVar, get_origin, get_type_hints

from cyclopts import Group, Parameter

from celpaint.options import Options, from_text, option_fields, option_info, parse_numbers, parse_size, size_text
from celpaint.options import Size as SizeType

__all__ = ["Size", "given", "takes"]


def _size(_: Any, tokens: Any) -> tuple[int, int]:
    return parse_size(tokens[0].value)


Size = Annotated[
    SizeType,
    Parameter(
        converter=_size,
        metavar="WIDTHxHEIGHT",
        n_tokens=1,
        accepts_keys=False,
        negative=(),
        show_default=size_text,
    ),
]
"""(height, width), written ``576x320``."""


def _numbers(_: Any, tokens: Any) -> tuple[float, ...]:
    return parse_numbers(tokens[0].value, tokens[0].keyword.removeprefix("--").replace("-", "_"))


Numbers = Annotated[
    tuple[float, ...],
    Parameter(converter=_numbers, metavar="N,N,...", n_tokens=1, accepts_keys=False, negative=()),
]
"""Numbers, written ``1,0.5,1``."""

F = TypeVar("F", bound=Callable[..., Any])


def takes(groups: Mapping[str, type[Options]]) -> Callable[[F], F]:
    """Give a command one option for each field of some dataclasses, in place of its ``**options``.

    An option that is not given stays out of ``options``, so that the dataclass's own default holds; :func:`given`
    drops it. A field that several dataclasses share appears once, in the first group that has it.

    Args:
        groups: option dataclasses by title of their group in ``--help``.
    """

    def decorate(command: F) -> F:
        signature = inspect.signature(command)
        hints = get_type_hints(command, include_extras=True)
        parameters = {p.name: p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD}
        hints = {name: hint for name, hint in hints.items() if name in parameters or name == "return"}
        for order, (title, cls) in enumerate(groups.items()):
            group = Group(title, sort_key=order)
            for name, (field, kind) in option_fields(cls).items():
                if name not in parameters:
                    hints[name] = _annotation(field, kind, group)
                    parameters[name] = inspect.Parameter(
                        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hints[name]
                    )
        command.__signature__ = signature.replace(parameters=list(parameters.values()))  # type: ignore[attr-defined]
        command.__annotations__ = hints
        return command

    return decorate


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that were given on the command line."""
    return {name: value for name, value in options.items() if value is not None}


def _annotation(field: Field[Any], kind: Any, group: Group) -> Any:
    info = option_info(field)
    shown = (lambda _: field.default) if field.default not in (None, False, (), "") else False
    said = f"{info.help} ({info.range})" if info.range and get_origin(kind) is not Literal else info.help
    if kind == SizeType | None:
        kind = Size
    if kind == tuple[float, ...]:
        kind = Numbers
    parameter = Parameter(help=said, group=group, negative=(), show_default=shown)
    if kind in (int, float, int | None, float | None) or get_origin(kind) is Literal:

        def converted(_: Any, tokens: Any) -> Any:
            return from_text(field.name, tokens[0].value, kind, info)

        return Annotated[kind, parameter, Parameter(converter=converted, n_tokens=1)]
    return Annotated[kind, parameter]
