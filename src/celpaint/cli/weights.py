"""``celpaint weights``."""

from __future__ import annotations

import inspect
import json as js
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

from cyclopts import App, Parameter

from celpaint.errors import OptionError, WeightsError
from celpaint.methods.registry import all_parts, catalog, converters, default_method, method_specs, published_weights
from celpaint.options import flag
from celpaint.weights.inspect import locate
from celpaint.weights.kinds import Converter, load_object
from celpaint.weights.registry import packaged, stated_license

__all__ = ["app"]

_EXAMPLES = """\
Examples:

celpaint weights list

celpaint weights convert --svd svd.safetensors --lvcd lvcd.ckpt --out mine/

celpaint weights verify mine/

celpaint colorize cut05/ -r key.png -o cut05.mp4 --weights mine/
"""

app = App(name="weights", help="List, inspect, verify or convert weights.", help_epilogue=_EXAMPLES)


@app.command(name="list")
def list_command(*, json: Annotated[bool, Parameter(help="print JSON", show_default=False)] = False) -> None:
    """List weights: in the package, downloaded earlier, and published elsewhere."""
    from celpaint.weights.hub import cached

    fetched = list(cached(_is_method_weights))
    if json:
        here = [
            {"name": f"{method}/small", "path": str(path), "license": stated_license(path)}
            for method, path in packaged().items()
        ]
        there = [{"repo": each.repo, "path": str(each.folder), "bytes": each.bytes} for each in fetched]
        print(
            js.dumps({"packaged": here, "fetched": there, "published": [asdict(each) for each in published_weights()]})
        )
        return
    print("In this package (--weights small):")
    for method, path in packaged().items():
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        print(f"  {method}/small: {_size(size)}")
        print(f"    folder   {path}")
        print(f"    license  {stated_license(path)}")
    if fetched:
        print("\nDownloaded from the hub earlier (--weights OWNER/NAME):")
    for each in fetched:
        print(f"  {each.repo}  {_size(each.bytes)}  {each.folder}")
    print("\nPublished elsewhere; convert them with `celpaint weights convert`:")
    for official in published_weights():
        print(f"  {official.name}: {official.what}")
        print(f"    file     {official.file} at {official.page}")
        print(f"    license  {official.license}")


@app.command(name="info")
def info_command(
    path: str,
    /,
    *,
    tensors: Annotated[
        bool, Parameter(help="also list the name, shape and format of every tensor", show_default=False)
    ] = False,
    json: Annotated[bool, Parameter(help="print JSON", show_default=False)] = False,
) -> None:
    """Show what a checkpoint or a folder of weights contains.

    Args:
        path: a checkpoint, a folder, matcher/small, or a hub id.
    """
    from celpaint.weights.inspect import describe

    found = describe(_locate(path), catalog())
    if json:
        networks = [
            {
                "name": n.name,
                "parameters": n.parameters,
                "dtypes": n.dtypes,
                "config": n.config,
                "tensors": n.tensors if tensors else len(n.tensors),
            }
            for n in found.networks
        ]
        print(js.dumps({**vars(found), "path": str(found.path), "networks": networks}))
        return
    print(f"{found.path}: {found.kind}, {_size(found.bytes)}")
    print(f"license: {found.license}")
    print(f"use: {found.use}")
    for n in found.networks:
        print(f"{n.name:<20}{n.parameters / 1e6:10.2f} M parameters, {len(n.tensors)} tensors, {', '.join(n.dtypes)}")
        for key, (shape, kind) in n.tensors.items() if tensors else ():
            print(f"  {key}  {'x'.join(map(str, shape)) or 'scalar'}  {kind}")
    for key, value in found.card.items():
        print(f"{key:<20}{value}")


@app.command(name="verify")
def verify_command(path: str, /) -> None:
    """Check that weights are complete: checksums, names and shapes, no NaN.

    Args:
        path: a checkpoint, a folder, matcher/small, or a hub id.
    """
    from celpaint.weights.inspect import verify

    place = _locate(path)
    problems = []
    for check in verify(place, catalog()):
        print(f"{'FAULT' if check.problem else 'good'}  {check.what}", flush=True)
        if check.problem:
            problems.append(check.problem)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise WeightsError(f"{problems[0].rstrip('.')}{more}")


def _sources(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each source of some converter, in place of its ``**given``."""
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    parameters = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    for converter in converters():
        for name, said in converter.sources.items():
            if name not in hints:
                hints[name] = Annotated[Path | None, Parameter(help=f"{said} ({converter.title})")]
                parameters.append(
                    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hints[name])
                )
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {name: hint for name, hint in hints.items() if name != "given"}
    return command


@app.command(name="convert")
@_sources
def convert_command(
    *,
    out: Annotated[Path, Parameter(alias="-o", help="the folder to write, new or empty")],
    dtype: Annotated[Literal["fp16", "fp32"], Parameter(help="number format on disk")] = "fp16",
    quiet: Annotated[bool, Parameter(alias="-q", help="print only errors", show_default=False)] = False,
    **given: Path | None,
) -> None:
    """Convert published checkpoints to a folder of weights. The sources given decide which."""
    import sys

    sources = {name: path for name, path in given.items() if path is not None}
    chosen = next((each for each in converters() if each.takes(sources)), None)
    if chosen is None:
        raise OptionError(
            f"no conversion takes {' and '.join(map(flag, sources)) or 'no source'}",
            wanted=" or ".join(map(_wanted, converters())),
            todo=f"For example: {converters()[0].example}" if converters() else "",
        )

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    convert = load_object(chosen.run)
    print(f"weights: {convert(*(sources.get(name) for name in chosen.sources), out, dtype=dtype, say=say)}")


def _wanted(converter: Converter) -> str:
    """The sources as they are written on the command line."""
    names = [f"[{flag(name)}]" if name in converter.optional else flag(name) for name in converter.sources]
    return " ".join(names)


def _locate(name: str) -> Path:
    return locate(name, default=default_method(), parts=all_parts())


def _is_method_weights(folder: Path) -> bool:
    return any(spec.weights is not None and spec.weights.recognizes(folder) for spec in method_specs().values())


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
