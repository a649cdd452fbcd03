"""``celpaint weights``."""

from __future__ import annotations

import json as js
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from celpaint.errors import WeightsError
from celpaint.weights.registry import OFFICIAL, packaged

__all__ = ["app"]

_EXAMPLES = """\
Examples:

celpaint weights list

celpaint weights convert --svd svd.safetensors --lvcd lvcd.ckpt --out lvcd/

celpaint weights verify lvcd/

celpaint colorize cut05/ -r key.png -o cut05.mp4 --method lvcd --weights lvcd/
"""

app = App(name="weights", help="Show, check or convert weights.", help_epilogue=_EXAMPLES)


@app.command(name="list")
def list_command(*, json: Annotated[bool, Parameter(help="print JSON", show_default=False)] = False) -> None:
    """Show which weights there are: in the package, fetched before, and published elsewhere."""
    from celpaint.weights.hub import cached
    from celpaint.weights.inspect import stated_license

    fetched = list(cached())
    if json:
        here = [
            {"name": f"{method}/small", "path": str(path), "license": stated_license(path)}
            for method, path in packaged().items()
        ]
        there = [{"repo": each.repo, "path": str(each.folder), "bytes": each.bytes} for each in fetched]
        print(js.dumps({"packaged": here, "fetched": there, "published": [asdict(each) for each in OFFICIAL]}))
        return
    print("In this package (--weights small):")
    for method, path in packaged().items():
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        print(f"  {method}/small: {_size(size)}")
        print(f"    folder   {path}")
        print(f"    license  {stated_license(path)}")
    if fetched:
        print("\nFetched from the hub before (--weights OWNER/NAME):")
    for each in fetched:
        print(f"  {each.repo}  {_size(each.bytes)}  {each.folder}")
    print("\nPublished elsewhere, to be converted (celpaint weights convert):")
    for official in OFFICIAL:
        print(f"  {official.name}: {official.what}")
        print(f"    file     {official.file} at {official.page}")
        print(f"    license  {official.license}")


@app.command(name="info")
def info_command(
    path: str,
    /,
    *,
    tensors: Annotated[bool, Parameter(help="every tensor's name, shape and format too", show_default=False)] = False,
    json: Annotated[bool, Parameter(help="print JSON", show_default=False)] = False,
) -> None:
    """Show what some weights are.

    Args:
        path: a checkpoint, a folder, matcher/small, or a hub id.
    """
    from celpaint.weights.inspect import describe, locate

    found = describe(locate(path))
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
    """Check that weights are whole: checksums, names and shapes, no NaN.

    Args:
        path: a checkpoint, a folder, matcher/small, or a hub id.
    """
    from celpaint.weights.inspect import locate, verify

    place = locate(path)
    problems = []
    for check in verify(place):
        print(f"{'FAULT' if check.problem else 'good'}  {check.what}", flush=True)
        if check.problem:
            problems.append(check.problem)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise WeightsError(f"{problems[0].rstrip('.')}{more}")


@app.command(name="convert")
def convert_command(
    *,
    svd: Annotated[Path, Parameter(help="svd.safetensors, or the public SVD folder in diffusers' format")],
    lvcd: Annotated[Path, Parameter(help="lvcd.ckpt, or its pruned safetensors")],
    out: Annotated[Path, Parameter(alias="-o", help="the folder to write, new or empty")],
    dtype: Annotated[Literal["fp16", "fp32"], Parameter(help="number format on disk")] = "fp16",
    quiet: Annotated[bool, Parameter(alias="-q", help="say nothing but errors", show_default=False)] = False,
) -> None:
    """Make a folder of weights from the official checkpoints of Stable Video Diffusion and LVCD."""
    import sys

    try:
        from celpaint.weights.convert.official import convert
    except ModuleNotFoundError as error:
        from celpaint.errors import MissingExtra

        raise MissingExtra(error.name or "diffusers", "lvcd") from None

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    print(f"weights: {convert(svd, lvcd, out, dtype=dtype, say=say)}")


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
