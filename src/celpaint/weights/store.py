"""A network on disk: a folder with ``config.json``, safetensors shards and a card.

The layout is the one diffusers reads and writes: one ``model.safetensors``, or shards
``model-00001-of-00003.safetensors`` beside ``model.safetensors.index.json``. ``SHA256SUMS`` lists what belongs to it,
as ``sha256sum`` writes and checks it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from celpaint.atomic_write import replacing, write_text
from celpaint.errors import WeightsError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = [
    "SHARD_BYTES",
    "SUMS",
    "check_fit",
    "check_numbers",
    "check_sums",
    "load_network",
    "read_config",
    "read_tensors",
    "sha256",
    "tensor_files",
    "write_network",
    "write_tensors",
]

N = TypeVar("N", bound="nn.Module")

SHARD_BYTES = 16_000_000
"""Largest shard of packaged weights."""

SUMS = "SHA256SUMS"
"""The file that says what a network's files hold."""


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

    Memory: one shard, where ``tensors`` are mapped from files (as :func:`read_tensors` gives them).

    Args:
        config: arguments of the network's constructor, JSON values.
        tensors: the state dict.
        dtype: convert floating-point tensors to it; None keeps them.
        name: stem of the weight files (diffusers: ``model`` or ``diffusion_pytorch_model``).
        shard_bytes: largest size of one file; a single larger tensor gets a file of its own.
    """
    names = write_tensors(folder, tensors, dtype=dtype, name=name, shard_bytes=shard_bytes)
    _write_json(folder / "config.json", config)
    sums = "".join(f"{sha256(folder / file)}  {file}\n" for file in ["config.json", *names])
    write_text(folder / SUMS, sums)


def write_tensors(
    folder: Path,
    tensors: Mapping[str, Tensor],
    *,
    dtype: torch.dtype | None = None,
    name: str = "model",
    shard_bytes: int = SHARD_BYTES,
) -> list[str]:
    """Write tensors as one safetensors file, or as shards with an index; older files of ``name`` are removed.

    Returns:
        the names of the files.
    """
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file

    def kind(tensor: Tensor) -> torch.dtype:
        return dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype

    folder.mkdir(parents=True, exist_ok=True)
    sizes = {key: tensors[key].detach().to("meta", kind(tensors[key])) for key in sorted(tensors)}
    plan = split_torch_state_dict_into_shards(
        sizes, filename_pattern=f"{name}{{suffix}}.safetensors", max_shard_size=shard_bytes
    )
    index = f"{name}.safetensors.index.json"
    stale = {file.name for file in folder.glob(f"{name}*.safetensors")} | {index}
    for file, keys in plan.filename_to_tensors.items():
        shard = {key: tensors[key].detach().to("cpu", kind(tensors[key])).contiguous() for key in keys}
        with replacing(folder / file) as part:
            save_file(_apart(shard), part, metadata={"format": "pt"})
    names = list(plan.filename_to_tensors)
    if plan.is_sharded:
        _write_json(folder / index, {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename})
        names.append(index)
    for old in stale - set(names):
        (folder / old).unlink(missing_ok=True)
    return names


def _apart(shard: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same, no two tensors in one piece of memory: safetensors files hold each by itself."""
    seen: set[int] = set()
    for key, tensor in shard.items():
        place = tensor.untyped_storage().data_ptr()
        if place in seen:
            shard[key] = tensor.clone()
        seen.add(place)
    return shard


def sha256(file: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_sums(folder: Path) -> int:
    """Compare the files of a network with its ``SHA256SUMS``.

    Returns:
        How many were compared; 0 where there is no such list.

    Raises:
        WeightsError: a file is missing, differs or is not in the list, or the list can't be read.
    """
    listed = folder / SUMS
    if not listed.exists():
        return 0
    wanted: dict[str, str] = {}
    for line in listed.read_text(encoding="utf-8").splitlines():
        digest, _, file = line.partition("  ")
        if len(digest) != 64 or not file or Path(file).name != file:
            raise WeightsError(f"'{listed}' can't be read: {line!r}", wanted="lines as sha256sum writes them")
        wanted[file] = digest
    for file, digest in wanted.items():
        if not (folder / file).is_file():
            raise WeightsError(f"'{folder / file}' is missing, though {SUMS} names it", todo="Download it again.")
        if sha256(folder / file) != digest:
            raise WeightsError(f"'{folder / file}' does not match {SUMS}", todo="Download or convert it again.")
    strange = sorted({file.name for file in folder.glob("*.safetensors")} - wanted.keys())
    if strange:
        raise WeightsError(
            f"'{folder / strange[0]}' is not listed in {SUMS}", todo="Remove it, or create the list again."
        )
    return len(wanted)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")


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
        raise WeightsError(f"'{path}' does not contain a JSON object", wanted="the network's settings")
    return config


def tensor_files(folder: Path) -> list[Path]:
    """The safetensors files of a network: those its index names, else all but half copies of full ones.

    Raises:
        WeightsError: there are none, or the index can't be read.
    """
    indices = sorted(folder.glob("*.safetensors.index.json"))
    index = next((path for path in indices if ".fp16." not in path.name), next(iter(indices), None))
    if index is None:
        files = sorted(folder.glob("*.safetensors"))
        files = [file for file in files if ".fp16." not in file.name] or files  # published beside the full ones
    else:
        try:
            files = sorted(
                {folder / file for file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(f"'{index}' can't be read ({error})", todo="Download it again.") from None
    if not files:
        raise WeightsError(f"no safetensors files in '{folder}'", wanted="model.safetensors or numbered shards")
    return files


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of all safetensors files of ``folder``, on the CPU, in their stored format.

    They are mapped from the files: memory is taken only as they are used.

    Raises:
        WeightsError: no files, a broken file, or one that an index names is missing.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for file in tensor_files(folder):
        try:
            tensors.update(load_file(file))
        except FileNotFoundError:
            raise WeightsError(f"'{file}' is missing, though the index names it", todo="Download it again.") from None
        except (SafetensorError, OSError) as error:
            raise WeightsError(
                f"'{file}' is not a complete safetensors file ({error})", todo="Download or convert it again."
            ) from None
    return tensors


def check_fit(network: nn.Module, tensors: Mapping[str, Tensor], *, source: object) -> None:
    """Names and shapes of ``tensors`` are those of ``network``, which may be on the meta device.

    Raises:
        WeightsError: names the missing, unexpected or misshapen tensors.
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
            wanted="weights of this architecture",
            todo="See `celpaint weights info` for what a file contains.",
        )


def check_numbers(tensors: Mapping[str, Tensor], *, source: object) -> None:
    """No NaN, no infinity.

    Raises:
        WeightsError: names the first tensor that holds one.
    """
    bad = [k for k, v in tensors.items() if v.is_floating_point() and not v.isfinite().all()]
    if bad:
        raise WeightsError(
            f"'{source}' contains NaN or infinity in {bad[0]}", todo="Download or export the weights again."
        )


def load_network(network: N, tensors: Mapping[str, Tensor], *, source: object) -> N:
    """Fill ``network`` with ``tensors``: strict in names and shapes, no NaN, network left in evaluation mode.

    Args:
        source: what to call the weights in errors, usually their path.

    Raises:
        WeightsError: names the missing, unexpected, misshapen or non-finite tensors.
    """
    check_fit(network, tensors, source=source)
    check_numbers(tensors, source=source)
    unmade = any(p.is_meta for p in network.parameters())  # then the tensors themselves become its parameters
    network.load_state_dict(dict(tensors), strict=True, assign=unmade)
    return network.eval().requires_grad_(False)
