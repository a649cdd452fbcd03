"""A network on disk: a folder with ``config.json``, safetensors shards and a card.

The layout is the one diffusers reads and writes: one ``model.safetensors``, or shards
``model-00001-of-00003.safetensors`` beside ``model.safetensors.index.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from celpaint.errors import WeightsError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["SHARD_BYTES", "load_network", "read_config", "read_tensors", "write_network"]

N = TypeVar("N", bound="nn.Module")

SHARD_BYTES = 16_000_000
"""Largest shard of packaged weights."""


def write_network(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    dtype: torch.dtype | None = None,
    name: str = "model",
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a network's config and tensors to ``folder``, each file aside first, then renamed.

    Args:
        config: arguments of the network's constructor, JSON values.
        tensors: the state dict.
        dtype: convert floating-point tensors to it; None keeps them.
        name: stem of the weight files (diffusers: ``model`` or ``diffusion_pytorch_model``).
        shard_bytes: largest size of one file; a single larger tensor gets a file of its own.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, Tensor]] = [{}]
    used = total = 0
    for key, tensor in sorted(tensors.items()):
        if dtype is not None and tensor.is_floating_point():
            tensor = tensor.to(dtype)
        size = tensor.numel() * tensor.element_size()
        if used and used + size > shard_bytes:
            shards.append({})
            used = 0
        shards[-1][key] = tensor.detach().cpu().contiguous().clone()
        used += size
        total += size
    if len(shards) == 1:
        names = [f"{name}.safetensors"]
    else:
        names = [f"{name}-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
    stale = {*folder.glob(f"{name}*.safetensors"), folder / f"{name}.safetensors.index.json"}
    for file, shard in zip(names, shards, strict=True):
        aside = folder / f".{file}.part"
        save_file(shard, aside, metadata={"format": "pt"})
        aside.replace(folder / file)
        stale.discard(folder / file)
    if len(shards) > 1:
        where = {key: file for file, shard in zip(names, shards, strict=True) for key in shard}
        index = {"metadata": {"total_size": total}, "weight_map": where}
        _write_json(folder / f"{name}.safetensors.index.json", index)
        stale.discard(folder / f"{name}.safetensors.index.json")
    _write_json(folder / "config.json", config)
    for old in stale:
        old.unlink(missing_ok=True)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    aside.replace(path)


def read_config(folder: Path) -> dict[str, Any]:
    """The network's config.

    Raises:
        WeightsError: no folder, no config or no valid JSON.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(
            f"no config.json in '{folder}'", wanted="a folder with config.json and safetensors files"
        ) from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"'{path}' can't be read ({error})", wanted="a JSON file") from None
    if not isinstance(config, dict):
        raise WeightsError(f"'{path}' holds no JSON object", wanted="the network's settings")
    return config


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of all safetensors files of ``folder``, on the CPU, in their stored format.

    Raises:
        WeightsError: no files, a broken file, or one that an index names is missing.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    index = next(iter(folder.glob("*.safetensors.index.json")), None)
    if index is None:
        files = sorted(folder.glob("*.safetensors"))
        files = [file for file in files if ".fp16." not in file.name] or files  # published beside the full ones
    else:
        files = sorted({folder / file for file in json.loads(index.read_text())["weight_map"].values()})
    if not files:
        raise WeightsError(f"no safetensors files in '{folder}'", wanted="model.safetensors or numbered shards")
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            tensors.update(load_file(file))
        except FileNotFoundError:
            raise WeightsError(f"'{file}' is missing, though the index names it", todo="Fetch it again.") from None
        except (SafetensorError, OSError) as error:
            raise WeightsError(
                f"'{file}' is not a whole safetensors file ({error})", todo="Fetch or convert it again."
            ) from None
    return tensors


def load_network(network: N, tensors: Mapping[str, Tensor], *, source: object) -> N:
    """Fill ``network`` with ``tensors``: strict in names and shapes, no NaN, network left in evaluation mode.

    Args:
        source: what to call the weights in errors, usually their path.

    Raises:
        WeightsError: names the missing, unexpected, misshapen or non-finite tensors.
    """
    own = network.state_dict()
    missing, unexpected = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shapes = [
        f"{k} is {tuple(tensors[k].shape)}, wanted {tuple(own[k].shape)}"
        for k in own.keys() & tensors.keys()
        if own[k].shape != tensors[k].shape
    ]
    found = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", sorted(shapes)))
        if names
    ]
    if found:
        raise WeightsError(
            f"'{source}' does not fit {type(network).__name__}: {'; '.join(found)}",
            wanted="weights of this very architecture",
            todo="See `celpaint weights info` for what a file holds.",
        )
    bad = [k for k, v in tensors.items() if v.is_floating_point() and not v.isfinite().all()]
    if bad:
        raise WeightsError(f"'{source}' holds NaN or infinity in {bad[0]}", todo="Fetch or export the weights again.")
    unmade = any(p.is_meta for p in network.parameters())  # then the tensors themselves become its parameters
    network.load_state_dict(dict(tensors), strict=True, assign=unmade)
    return network.eval().requires_grad_(False)
