"""``celpaint doctor``."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from celpaint import __version__
from celpaint.errors import WeightsError
from celpaint.methods.registry import method_specs
from celpaint.threads import default_threads

__all__ = ["doctor_command"]

_PACKAGES = ("torch", "numpy", "pillow", "opencv-python-headless", "av", "safetensors", "diffusers", "transformers")


def doctor_command() -> None:
    """Show versions, machine, devices and weights, for a bug report."""
    for name, value in _findings():
        print(f"{name:<24}{value}")


def _findings() -> Iterator[tuple[str, str]]:
    yield "celpaint", f"{__version__} in {Path(__file__).parents[1]}"
    yield "python", f"{platform.python_version()} ({sys.executable})"
    yield "system", platform.platform()
    yield "processor", f"{_processor()}, {os.cpu_count()} cores, {_memory()}"
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, "not installed"
    yield from _devices()
    yield from _weights()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (ValueError, OSError, AttributeError):
        return "memory unknown"


def _weights() -> Iterator[tuple[str, str]]:
    for name, spec in method_specs().items():
        try:
            yield f"weights of {name}", str(spec.find_weights("small"))
        except WeightsError:
            yield f"weights of {name}", "not in the package"


def _devices() -> Iterator[tuple[str, str]]:
    import torch

    yield "threads", str(default_threads())
    yield "CUDA", "yes" if torch.cuda.is_available() else "none"
    for i in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(i)
        yield f"cuda:{i}", f"{found.name}, {found.total_memory / 2**30:.1f} GiB"
    yield "MPS", "yes" if torch.backends.mps.is_available() else "none"
