"""Where numbers come from: the machine, the commit, and digests of all that decides a result."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import celpaint
from celpaint.errors import InputError
from celpaint.methods.registry import weight_files
from celpaint.options import ComputeOptions

__all__ = ["code_digest", "commit", "digest_of", "files_digest", "machine", "weights_digest"]

_NOT_COLORING = ("benchmark", "cli", "comfy", "data", "farm", "metrics", "studio", "train")


def machine(device: str = "auto") -> dict[str, str]:
    """Processor, GPU, system and versions, by name, for people."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() and device != "cpu" else "none"
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "GPU": gpu,
        "system": platform.system(),
        "Python": sys.version.split()[0],
        "torch": torch.__version__,
        "celpaint": celpaint.__version__,
    }


def processor() -> str:
    """The name of the CPU."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (model := re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text(encoding="utf-8"))):
        return model.group(1)
    return platform.processor() or platform.machine()


def commit() -> str:
    """The commit of the code, with ``+`` where files were changed since; empty outside a repository."""
    where = Path(celpaint.__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(where), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        head = git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if head and git("status", "--porcelain", "--", str(where)) else "")
    except OSError:
        return ""


@cache
def code_digest(of: Literal["coloring", "measuring", "films"]) -> str:
    """Digest of the package's code that decides the pixels of a frame, its scores, or the films of a benchmark."""
    root = Path(celpaint.__file__).parent
    folders = {
        "coloring": [path.name for path in root.iterdir() if path.name not in _NOT_COLORING],
        "measuring": ["conditions", "frames", "metrics"],
        "films": ["benchmark/film", "conditions", "data"],
    }[of]
    own = {"coloring": ("ablations", "baselines", "task"), "measuring": ("metric_suite",), "films": ("films",)}[of]
    paths = [root / folder for folder in sorted(folders)]
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return files_digest([*(file for file in files if file.suffix == ".py"), *(root / f"benchmark/{n}.py" for n in own)])


@cache
def weights_digest(options: ComputeOptions) -> str:
    """Digest of the weights that these options run with, by name and content.

    Raises:
        WeightsError: the weights are not there.
    """
    return files_digest(weight_files(options))


def files_digest(paths: Iterable[Path]) -> str:
    """Digest of files, and of all files in folders, by name and content; where a path lies does not count.

    Raises:
        InputError: a path does not exist.
    """
    total = hashlib.sha256()
    for path in paths:
        if not path.exists():
            raise InputError(f"'{path}' does not exist", wanted="a file or folder")
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            total.update(f"{file.name}\0{content}\0".encode())
    return total.hexdigest()


def digest_of(value: Any) -> str:
    """Digest of JSON values, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
