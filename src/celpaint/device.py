"""Where and in which number format a method computes."""

from __future__ import annotations

import torch

from celpaint.errors import DeviceError

__all__ = ["resolve_device", "resolve_dtype"]


def resolve_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then MPS, then the CPU; anything else is taken at its word.

    Raises:
        DeviceError: no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"device {name!r} is not known", wanted="auto, cpu, cuda, cuda:N or mps") from None
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    count = here.get(device.type, 0)
    if (device.index or 0) >= count:
        found = ", ".join(f"{kind} ({n})" for kind, n in here.items() if n)
        raise DeviceError(
            f"device {name!r} is not on this machine", wanted=f"one of: {found}", todo="Try --device auto."
        )
    return device


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto`` is bfloat16 on processors and CUDA devices that have it, float16 on other CUDA devices, else float32."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and _cpu_has_bfloat16():
        return torch.bfloat16
    return torch.float32


def _cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; the networks are up to twice as fast in it, and no less right
    (docs/research/LOG.md)."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
