"""The official checkpoint -> a folder that :class:`celpaint.methods.colorize_diffusion.networks.Networks` loads.

    v2*.safetensors               UNet, sketch, background and style encoder, VAE
    open_clip_model.safetensors   the CLIP image tower, which official checkpoints lack

Tensors are mapped from the sources and written shard after shard: no network is ever held in memory.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from celpaint.atomic_write import disk_errors, replacing
from celpaint.errors import OutputError, WeightsError
from celpaint.methods.colorize_diffusion import keys
from celpaint.methods.colorize_diffusion.networks import Card, build_part
from celpaint.methods.colorize_diffusion.spec import LICENSE
from celpaint.weights.convert.files import read_checkpoint
from celpaint.weights.convert.svd import clip_config, clip_tensors, under
from celpaint.weights.inspect import Check
from celpaint.weights.store import check_fit, check_numbers, sha256, write_network

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Part", "check_checkpoint", "check_clip", "clip_part", "convert", "official_parts"]

DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
SHARD_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Part:
    """One network under our names.

    Attributes:
        config: its ``config.json``.
        tensors: its state dict, mapped from the source.
    """

    config: dict[str, Any]
    tensors: dict[str, Tensor]


def _ignore(text: str) -> None:
    """Do nothing."""


def convert(
    checkpoint: Path,
    clip: Path | None,
    out: Path,
    *,
    dtype: Literal["fp16", "fp32"] = "fp16",
    say: Callable[[str], None] = _ignore,
) -> Path:
    """Write the folder.

    Args:
        checkpoint: the official file.
        clip: a file of OpenCLIP ViT-H-14; None: the tower in the checkpoint where there is one. A folder without a
            tower cannot be used.
        out: a new or empty folder. It is written under another name, then renamed.
        dtype: number format on disk; the official program computes in half precision.
        say: called with the license first, then with each step.

    Raises:
        WeightsError: a source is missing, broken, of another architecture or holds NaN.
        OutputError: ``out`` holds something, or cannot be written.
        DiskFull: there is no room for it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"'{out}' exists", wanted="a new or empty folder", todo="Remove it, or choose another.")
    say(f"license of ColorizeDiffusion v2: {LICENSE}")
    tensors = read_checkpoint(checkpoint)
    parts = official_parts(tensors, source=checkpoint, say=say)
    tower = clip_part(read_checkpoint(clip) if clip else tensors, source=clip or checkpoint)
    if tower:
        parts["image_encoder"] = tower
    else:
        say("no CLIP image tower: convert again with --clip open_clip_model.safetensors before coloring")
    # eps-trained checkpoints say so in their names alone.
    card = Card(prediction="epsilon" if "eps" in checkpoint.name else "v")
    sources = {path.name: sha256(path) for path in (checkpoint, clip) if path}
    with disk_errors(out), replacing(out) as folder:
        for name, part in parts.items():
            say(f"{name}: {sum(t.numel() for t in part.tensors.values()) / 1e6:.1f} M parameters")
            _check_range(name, part.tensors, DTYPES[dtype])
            write_network(folder / name, part.config, part.tensors, dtype=DTYPES[dtype], shard_bytes=SHARD_BYTES)
        card.write(folder, license=LICENSE, made_from=sources)
    return out


def official_parts(
    tensors: Mapping[str, Tensor],
    *,
    source: object,
    head_width: int | None = None,
    say: Callable[[str], None] = _ignore,
) -> dict[str, Part]:
    """All networks of an official checkpoint but the image tower, complete and with nothing unknown.

    Args:
        tensors: under their official names.
        source: what to call them in errors.
        head_width: see :func:`~celpaint.methods.colorize_diffusion.keys.config_from_tensors`.
        say: told of tensors that belong to no known part.

    Raises:
        WeightsError: another architecture, or parts or single tensors are missing, unknown or misshapen.
    """
    keys.check_family(tensors.keys(), source=source)
    strange = sorted(name for name in tensors if not keys.left_out(name) and keys.group_of(name) is None)
    if strange:
        say(f"'{source}': {len(strange)} tensors of no known part are left out, such as {strange[0]}")
    config = keys.config_from_tensors(tensors, head_width=head_width, source=source).to_dict()
    parts = {part: Part(config, under(tensors, prefix)) for part, prefix in keys.NETWORKS.items()}
    networks = {part: build_part(part, config, source=source) for part in parts}
    _check_complete(networks, tensors, source=source)
    for part, network in networks.items():
        check_fit(network, parts[part].tensors, source=source)
    parts["vae"] = _vae_part(tensors, source=source)
    return parts


def _check_complete(networks: Mapping[str, nn.Module], tensors: Mapping[str, Tensor], *, source: object) -> None:
    """Name the parts that lack tensors, as the sizes of the networks imply them."""
    wanted = {f"{keys.NETWORKS[part]}{name}" for part, network in networks.items() for name in network.state_dict()}
    missing = sorted(wanted - tensors.keys())
    if not missing:
        return
    of = Counter(keys.group_of(name) for name in wanted)
    counts = Counter(keys.group_of(name) for name in missing)
    raise WeightsError(
        f"'{source}' lacks "
        + "; ".join(f"{count} of {of[group]} tensors of {group}" for group, count in counts.items())
        + f", such as {missing[0]}",
        wanted="a complete checkpoint of ColorizeDiffusion v2",
        todo="Download it again, or ask whoever exported it for the complete file.",
    )


def _vae_part(tensors: Mapping[str, Tensor], *, source: object) -> Part:
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    official = {
        name: value for name, value in tensors.items() if name.startswith(keys.FIRST_STAGE) and not keys.left_out(name)
    }
    config = keys.vae_config(under(official, keys.FIRST_STAGE), source=source)
    renamed: dict[str, Tensor] = convert_ldm_vae_checkpoint(official, config)
    if len(renamed) != len(official):
        raise WeightsError(
            f"'{source}': {len(official) - len(renamed)} tensors of {keys.FIRST_STAGE}* are not those of Stable "
            "Diffusion's VAE",
            wanted="a checkpoint of ColorizeDiffusion v2",
        )
    check_fit(build_part("vae", config, source=source), renamed, source=f"the VAE in {source}")
    return Part(config, renamed)


def clip_part(tensors: Mapping[str, Tensor], *, source: object) -> Part | None:
    """The image tower among the tensors of an OpenCLIP file or of a checkpoint; None where there is none.

    Raises:
        WeightsError: it holds names or shapes of another network.
    """
    prefix = next((p for p in keys.CLIP if any(name.startswith(p) for name in tensors)), None)
    if prefix is None:
        return None
    visual = {f"visual.{name}": value for name, value in under(tensors, prefix).items()}
    try:
        config = clip_config(visual)
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"'{source}' contains no vision transformer of OpenCLIP ({error})", wanted="OpenCLIP ViT-H-14"
        ) from None
    renamed = clip_tensors(visual)
    check_fit(build_part("image_encoder", config, source=source), renamed, source=source)
    return Part(config, renamed)


def check_checkpoint(tensors: Mapping[str, Tensor], path: Path) -> Iterator[Check]:
    """Whether a file is a complete checkpoint of ColorizeDiffusion v2."""

    def look() -> None:
        official_parts(tensors, source=path)

    yield Check.of("all networks of ColorizeDiffusion v2", look)


def check_clip(tensors: Mapping[str, Tensor], path: Path) -> Iterator[Check]:
    """Whether a file of OpenCLIP holds a whole image tower."""

    def look() -> None:
        clip_part(tensors, source=path)

    yield Check.of("the image tower", look)


def _check_range(name: str, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """Finite numbers of a common format, also once they are written."""
    for key, value in tensors.items():
        if not re.fullmatch(r"torch\.(b?float16|float32|float64)", str(value.dtype)):
            raise WeightsError(
                f"{name}: {key} is stored as {str(value.dtype).removeprefix('torch.')}",
                wanted="float16, bfloat16 or float32",
                todo="Quantized checkpoints cannot be converted; use the original.",
            )
        check_numbers({key: value}, source=name)
        if value.numel() and value.abs().max().item() > torch.finfo(dtype).max:
            raise WeightsError(f"{name}: {key} contains numbers too large for fp16", todo="Convert with --dtype fp32.")
