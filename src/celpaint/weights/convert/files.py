"""Foreign checkpoint files -> tensors by name, mapped from the file: memory is taken only as they are used.

Safetensors, and PyTorch's pickles as far as ``torch.load(weights_only=True)`` reads them: nothing a file says is ever
run. What a file is, its first bytes say, not its name.
"""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celpaint.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["read_checkpoint"]

_ZIP, _PICKLE, _POINTER = b"PK\x03\x04", b"\x80", b"version https://git-lfs"


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint: a safetensors file, or a pickled state dict, alone or under ``state_dict``.

    Raises:
        WeightsError: missing, broken, no checkpoint, or a pickle that asks for more than tensors and plain values.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
    except FileNotFoundError:
        raise WeightsError(f"there is no file '{path}'", wanted="a checkpoint") from None
    except OSError as error:
        raise WeightsError(f"'{path}' can't be read ({error.strerror})", wanted="a checkpoint") from None
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**27:
        return _safetensors(path)
    if head.startswith((_ZIP, _PICKLE)):
        return _pickle(path, mapped=head.startswith(_ZIP))
    if head.startswith(_POINTER):
        raise WeightsError(f"'{path}' is a pointer of Git LFS, not the file itself", todo="Fetch it with: git lfs pull")
    what = "a web page" if head.lstrip().startswith(b"<") else "empty" if not head else "no checkpoint"
    raise WeightsError(f"'{path}' is {what}", wanted="a safetensors file or a checkpoint of PyTorch")


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"'{path}' is not a complete safetensors file ({error})", todo="Download it again."
        ) from None


def _pickle(path: Path, *, mapped: bool) -> dict[str, Tensor]:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of old protocols: they are read or refused
            found: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"'{path}' is a pickle that asks for {_asked_for(path, error)}, which could run code",
            wanted="nothing but tensors and plain values",
            todo="Use the safetensors version of these weights, or ask whoever made the file to save its state_dict "
            "alone.",
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"'{path}' is not a complete checkpoint ({reason})", todo="Download it again.") from None
    state = found.get("state_dict", found) if isinstance(found, dict) else None
    if not isinstance(state, dict) or not any(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"'{path}' contains no state dict", wanted="tensors by name, alone or under 'state_dict'")
    return {str(name): value for name, value in state.items() if isinstance(value, torch.Tensor)}


def _asked_for(path: Path, error: pickle.UnpicklingError) -> str:
    """The names a pickle wants beyond those that are allowed."""
    import torch

    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # not every pickle can be looked through without being run
        names = re.findall(r"GLOBAL ([\w.]+)", str(error))
    if not names:
        return "something other than tensors"
    return ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
