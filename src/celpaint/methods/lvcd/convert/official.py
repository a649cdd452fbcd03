"""The official checkpoints -> a folder that :class:`celpaint.methods.lvcd.weights.Networks` loads.

    svd.safetensors, or the public folder in diffusers' format      UNet, VAE, image encoder
    lvcd.ckpt, or the pruned safetensors                            ControlNet, the trained part of the UNet
    -> DIR/unet controlnet vae first_stage_encoder image_encoder    each config.json, safetensors, SHA256SUMS
       DIR/model_index.json  DIR/README.md                          what the weights recommend; where they are from

Tensors are mapped from the sources and written shard after shard: no network is ever held in memory.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from celpaint.atomic_write import disk_errors, replacing, write_text
from celpaint.errors import DiskFull, OutputError, WeightsError
from celpaint.methods.lvcd.convert import keys
from celpaint.methods.lvcd.spec import LVCD_LICENSE, SVD_LICENSE
from celpaint.methods.lvcd.weights import DIFFUSERS, Card, build_part
from celpaint.models.image_encoder import LatentEmbedding
from celpaint.weights.convert import svd
from celpaint.weights.convert.files import read_checkpoint
from celpaint.weights.inspect import Check
from celpaint.weights.store import check_fit, check_numbers, read_config, read_tensors, sha256, write_network

__all__ = ["DTYPES", "Part", "check_lvcd", "check_svd", "convert", "lvcd_parts", "original_parts", "svd_parts"]

DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
"""Number formats on disk."""

OFFICIAL_SHARD_BYTES = 2 * 2**30

_LEFT_OUT = ("first_stage_model.", "conditioner.embedders.", "model_ema.", "denoiser.", "loss.")
"""Parts of official files that are known and not needed, beside those that are read."""


@dataclass(frozen=True)
class Part:
    """One network under our names.

    Attributes:
        config: its ``config.json``.
        tensors: its state dict, mapped from the source.
        stem: of its weight files.
    """

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    stem: str = DIFFUSERS


def _quiet(text: str) -> None:
    """Say nothing."""


def convert(
    svd_path: Path,
    lvcd_path: Path,
    out: Path,
    *,
    dtype: Literal["fp16", "fp32"] = "fp16",
    say: Callable[[str], None] = _quiet,
) -> Path:
    """Make the folder.

    Args:
        svd_path: Stable Video Diffusion: the original file, or the public folder in diffusers' format.
        lvcd_path: LVCD's checkpoint.
        out: the folder to write: new or empty. It is written aside, then renamed.
        dtype: number format on disk; the official sampler computes in half precision.
        say: told what is being done, and what is worth knowing about the sources.

    Raises:
        WeightsError: a source is missing, broken, of another architecture or holds NaN.
        OutputError: ``out`` holds something, or can't be written.
        DiskFull: there is no room for it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"'{out}' exists", wanted="a new or empty folder", todo="Remove it, or choose another.")
    base = svd_parts(svd_path, say)
    trained, control = lvcd_parts(read_checkpoint(lvcd_path), lvcd_path, base["unet"], say)
    parts = {**base, "unet": Part(base["unet"].config, {**base["unet"].tensors, **trained}), "controlnet": control}
    for name, part in parts.items():
        check_fit(build_part(name, part.config, name), part.tensors, source=f"{name} from these files")
    _room(out, sum(t.numel() for part in parts.values() for t in part.tensors.values()) * DTYPES[dtype].itemsize)

    with disk_errors(out), replacing(out) as folder:
        for name, part in parts.items():
            count = sum(t.numel() for t in part.tensors.values())
            say(f"{name}: {count / 1e6:.1f} M parameters")
            _check_range(name, part.tensors, dtype)
            write_network(
                folder / name,
                part.config,
                part.tensors,
                dtype=DTYPES[dtype],
                name=part.stem,
                shard_bytes=OFFICIAL_SHARD_BYTES,
            )
        sources = {path.name: sha256(path) for path in (svd_path, lvcd_path) if path.is_file()}
        card = {"_class_name": "LVCD", **asdict(Card()), "made_from": sources}
        write_text(folder / "model_index.json", json.dumps(card, indent=2) + "\n")
        write_text(folder / "README.md", _readme(svd_path, lvcd_path, sources, dtype))
    return out


def svd_parts(path: Path, say: Callable[[str], None] = _quiet) -> dict[str, Part]:
    """The networks of Stable Video Diffusion: ``unet``, ``vae``, ``image_encoder``, and of an original file its
    ``first_stage_encoder``.

    Raises:
        WeightsError: not such a file or folder, or its names are of another network.
    """
    return _diffusers_parts(path) if path.is_dir() else original_parts(read_checkpoint(path), path, say)


def _diffusers_parts(folder: Path) -> dict[str, Part]:
    if not (folder / "unet").is_dir():
        raise WeightsError(
            f"'{folder}' has no folder unet", wanted="svd.safetensors, or the public folder in diffusers' format"
        )
    parts = {}
    for name, stem in (("unet", DIFFUSERS), ("vae", DIFFUSERS), ("image_encoder", "model")):
        tensors = read_tensors(folder / name)
        tensors.pop("vision_model.embeddings.position_ids", None)  # old exports hold this constant
        parts[name] = Part(read_config(folder / name), tensors, stem)
    return parts


def original_parts(tensors: Mapping[str, Tensor], path: Path, say: Callable[[str], None] = _quiet) -> dict[str, Part]:
    """The same of an original file's tensors; ``path`` is what errors call it."""
    unet, first_stage = svd.under(tensors, svd.UNET), svd.under(tensors, svd.FIRST_STAGE)
    conditioner, clip = svd.under(tensors, svd.CONDITIONER), svd.under(tensors, svd.CLIP)
    absent = [
        f"{prefix}*"
        for prefix, found in ((svd.UNET, unet), (svd.FIRST_STAGE, first_stage), (svd.CONDITIONER, conditioner))
        if not found
    ]
    if absent:
        control = any(key.startswith(keys.CONTROL) for key in tensors)
        raise WeightsError(
            f"'{path}' has no {', '.join(absent)}" + (": it looks like LVCD's checkpoint" if control else ""),
            wanted="svd.safetensors, the 14-frame model in its original format",
            todo="See `celpaint weights info` for what a file contains.",
        )
    _note_strange(path, tensors, (svd.UNET, svd.FIRST_STAGE, svd.CONDITIONER, svd.CLIP, *_LEFT_OUT), say)
    encoder = {key: value for key, value in conditioner.items() if key.startswith(("encoder.", "quant_conv."))}
    with _Sizes(path):
        config = svd.unet_config(unet)
        vae = svd.vae_config(first_stage)
        parts = {
            "unet": Part(config.to_dict(), svd.unet_tensors(unet, config.layers_per_block)),
            "vae": Part(vae, svd.vae_tensors(first_stage, encoder)),
        }
        if own := svd.first_stage_encoder_tensors(first_stage):
            parts["first_stage_encoder"] = Part(vae, own)
        if any(key.startswith("visual.") for key in clip):
            parts["image_encoder"] = Part(svd.clip_config(clip), svd.clip_tensors(clip), "model")
        else:
            say(f"'{path}' holds no image encoder ({svd.CLIP}visual.*): without it the reference's token is zero")
            parts["image_encoder"] = _no_embedding(vae["latent_channels"], config.cross_attention_dim)
    return parts


def _no_embedding(channels: int, width: int) -> Part:
    """A token of zeros, what Stable Video Diffusion is told where it is told no picture."""
    embed = LatentEmbedding(channels, width)
    return Part(embed.to_dict(), {name: torch.zeros_like(value) for name, value in embed.state_dict().items()})


def lvcd_parts(
    tensors: Mapping[str, Tensor], path: Path, unet: Part, say: Callable[[str], None] = _quiet
) -> tuple[dict[str, Tensor], Part]:
    """LVCD's checkpoint.

    Args:
        tensors: what it holds.
        path: what errors call it.
        unet: Stable Video Diffusion's, into which the trained tensors must fit.

    Returns:
        The UNet's trained tensors under our names, and the ControlNet.

    Raises:
        WeightsError: not such a file, or its names or shapes are of another network.
    """
    control, official = svd.under(tensors, keys.CONTROL), svd.under(tensors, svd.UNET)
    if not control or not official:
        raise WeightsError(
            f"'{path}' has no {keys.CONTROL if not control else svd.UNET}*",
            wanted="LVCD's checkpoint: the ControlNet and the trained tensors of the UNet",
            todo="See `celpaint weights info` for what a file contains.",
        )
    _note_strange(path, tensors, (keys.CONTROL, svd.UNET, *_LEFT_OUT), say)
    layers = int(unet.config["layers_per_block"])
    trained = svd.unet_tensors(official, layers)
    strange = sorted(trained.keys() - unet.tensors.keys())
    shapes = sorted(k for k in trained.keys() & unet.tensors.keys() if trained[k].shape != unet.tensors[k].shape)
    if strange or shapes:
        name = (strange or shapes)[0]
        why = "is no tensor of" if strange else f"is {tuple(trained[name].shape)} and does not fit"
        raise WeightsError(
            f"'{path}': {name} {why} the UNet of Stable Video Diffusion given with it",
            wanted="checkpoints of one size",
        )
    left = sorted(k for k in unet.tensors.keys() - trained.keys() if ".attn1." in k)
    if left:
        say(f"'{path}' leaves {len(left)} self-attention tensors of the UNet as they were, such as {left[0]}")
    with _Sizes(path):
        config = keys.controlnet_config(control)
        return trained, Part(config.to_dict(), keys.controlnet_tensors(control, config.layers_per_block))


def check_lvcd(tensors: Mapping[str, Tensor], path: Path) -> Iterator[Check]:
    """Whether names and shapes of LVCD's checkpoint are right."""
    control = svd.under(tensors, keys.CONTROL)

    def fits() -> None:
        config = keys.controlnet_config(control)
        network = build_part("controlnet", config.to_dict(), path)
        check_fit(network, keys.controlnet_tensors(control, config.layers_per_block), source=path)
        keys.trained_unet_tensors(tensors, config.layers_per_block)

    yield Check.of("controlnet: names and shapes", fits)


def check_svd(tensors: Mapping[str, Tensor], path: Path) -> Iterator[Check]:
    """Whether names and shapes of Stable Video Diffusion's original file are right."""
    try:
        parts = original_parts(tensors, path)
    except WeightsError as error:
        yield Check("names", str(error))
        return
    for name, part in parts.items():
        network = build_part(name, part.config, path)
        yield Check.of(f"{name}: names and shapes", partial(check_fit, network, part.tensors, source=path))


class _Sizes:
    """Whatever is missing while sizes are read from shapes is the file's fault."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, (KeyError, IndexError, ZeroDivisionError)):
            raise WeightsError(
                f"'{self.path}' is incomplete: sizes can't be read without {error}", wanted="a complete checkpoint"
            ) from None


def _note_strange(
    path: Path, tensors: Mapping[str, Tensor], prefixes: tuple[str, ...], say: Callable[[str], None]
) -> None:
    strange = sorted(key for key in tensors if not key.startswith(prefixes))
    if strange:
        say(f"'{path}': {len(strange)} tensors of no known part are left out, such as {strange[0]}")


def _check_range(name: str, tensors: Mapping[str, Tensor], dtype: Literal["fp16", "fp32"]) -> None:
    """Finite numbers of a common format, also once they are written."""
    largest = torch.finfo(DTYPES[dtype]).max
    for key, value in tensors.items():
        if value.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            raise WeightsError(
                f"{name}: {key} is stored as {str(value.dtype).removeprefix('torch.')}",
                wanted="float16, bfloat16 or float32",
                todo="Quantized checkpoints can't be converted; use the original.",
            )
        check_numbers({key: value}, source=name)
        if value.numel() and value.abs().max().item() > largest:
            raise WeightsError(
                f"{name}: {key} contains numbers too large for {dtype}", todo="Convert with --dtype fp32."
            )


def _room(out: Path, need: int) -> None:
    there = next(folder for folder in (out.parent, *out.parent.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if free < need * 1.02:
        raise DiskFull(
            f"'{there}' has {free / 1e9:.2f} GB free",
            wanted=f"{need / 1e9:.2f} GB",
            todo="Make room, choose another disk, or convert with --dtype fp16.",
        )
    if not os.access(there, os.W_OK):
        raise OutputError(f"'{there}' can't be written to", todo="Choose another place with --out.")


def _readme(svd_path: Path, lvcd_path: Path, sources: Mapping[str, str], dtype: str) -> str:
    rows = "\n".join(f"| `{name}` | `{digest}` |" for name, digest in sources.items())
    return f"""# LVCD, converted

Made by `celpaint weights convert` from `{svd_path.name}` and `{lvcd_path.name}`, stored as {dtype}.

| source | sha256 |
|---|---|
{rows}

Licenses stay with the sources:

- Stable Video Diffusion: {SVD_LICENSE}
- LVCD: {LVCD_LICENSE}
"""
