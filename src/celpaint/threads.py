"""How many threads compute, and how they wait: decided here for the command line, the library and worker processes.

Threads of OpenMP that wait for their next piece of work spin by default, on a core that another process could use:
beside other work a run then takes many times as long. How they wait is read from the environment once, when the OpenMP
library is loaded with torch. So ``import celpaint`` asks for waiting without spinning; where torch was loaded before,
one thread is used, which never waits.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["available_cores", "default_threads", "use_threads", "wait_passively"]

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
"""What asks the OpenMP libraries of GNU, LLVM and Intel to let waiting threads sleep."""

_state = {"prepared": False, "spins": False, "alone": False}


def wait_passively() -> None:
    """Ask for threads that sleep while they wait, in this process and in those it starts. What the user set stays."""
    if _state["prepared"]:
        return
    asked = os.environ.get("OMP_WAIT_POLICY", "").upper() == "PASSIVE" or os.environ.get("GOMP_SPINCOUNT") == "0"
    _state["prepared"], _state["spins"] = True, "torch" in sys.modules and not asked
    for name, value in PASSIVE.items():
        os.environ.setdefault(name, value)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    """The threads of the parent are not there in a forked child; waiting for them would never end."""
    if "torch" in sys.modules or "cv2" in sys.modules:
        _state["alone"] = True
        use_threads(1)


def available_cores() -> int:
    """Processor cores that this process may use: by its affinity and its control group."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, max(int(quota) // int(period), 1))
    except (OSError, ValueError):  # no control group, or one without a limit
        pass
    return cores


def default_threads() -> int:
    """1 in a child forked after torch was loaded; else ``OMP_NUM_THREADS`` where it is set; 1 where waiting threads
    would spin; else one a core."""
    if _state["alone"]:
        return 1
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return 1 if _state["spins"] else available_cores()


def use_threads(count: int | None = None) -> int:
    """Let torch and OpenCV compute with so many threads; with one in a child forked after torch was loaded.

    Args:
        count: None: :func:`default_threads`.

    Returns:
        The number.
    """
    chosen = default_threads() if count is None or _state["alone"] else count
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(chosen)
    if "cv2" in sys.modules:
        import cv2

        cv2.setNumThreads(chosen)
    return chosen
