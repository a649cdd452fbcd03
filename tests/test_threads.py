"""Threads that wait sleep, on every way in; forked children do not wait for threads that are not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from celpaint.threads import PASSIVE, available_cores, default_threads


def told(script: str, **environment: str) -> dict[str, object]:
    """What a script prints as JSON, in a process with none of the settings of this one."""
    names = {"OMP_NUM_THREADS", "CELPAINT_THREADS", *PASSIVE}
    clean = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


ENVIRONMENT = f"import json, os; print(json.dumps({{name: os.environ.get(name) for name in {list(PASSIVE)!r}}}))"


def test_importing_celpaint_asks_for_passive_waiting_here_and_in_children() -> None:
    assert told(f"import celpaint; {ENVIRONMENT}") == PASSIVE
    inherited = f"import celpaint, subprocess, sys; subprocess.run([sys.executable, '-c', {ENVIRONMENT!r}], check=True)"
    assert told(inherited) == PASSIVE


def test_what_the_user_set_stays() -> None:
    assert told(f"import celpaint; {ENVIRONMENT}", OMP_WAIT_POLICY="ACTIVE")["OMP_WAIT_POLICY"] == "ACTIVE"


@pytest.mark.parametrize(
    ("imports", "environment", "expected"),
    [
        ("import celpaint, torch", {}, available_cores()),
        ("import torch, celpaint", {}, 1),
        ("import torch, celpaint", {"OMP_WAIT_POLICY": "passive"}, available_cores()),
        ("import celpaint, torch", {"OMP_NUM_THREADS": "3"}, 3),
    ],
)
def test_threads_that_would_spin_are_not_used(imports: str, environment: dict[str, str], expected: int) -> None:
    script = (
        f"{imports}\nfrom celpaint.threads import use_threads\nimport json, cv2\n"
        "used = use_threads()\nprint(json.dumps([used, torch.get_num_threads()]))"
    )
    assert told(script, **environment) == [expected, expected]


def test_an_option_says_how_many() -> None:
    script = (
        "import celpaint, torch, json\nfrom celpaint.threads import use_threads\n"
        "print(json.dumps([use_threads(2), torch.get_num_threads()]))"
    )
    assert told(script) == [2, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
def test_a_forked_child_computes_after_its_parent_has() -> None:
    """With the parent's threads it would wait for ever."""
    script = """
import celpaint, torch, cv2, json, os
from celpaint.threads import use_threads
use_threads(2)
x = torch.randn(800, 800)
(x @ x).sum(), torch.nn.functional.conv2d(x[None, None], x[None, None, :3, :3]).sum()
child = os.fork()
if child == 0:
    (x @ x).sum(), torch.nn.functional.conv2d(x[None, None], x[None, None, :3, :3]).sum()
    os._exit(torch.get_num_threads())
print(json.dumps(os.WEXITSTATUS(os.waitpid(child, 0)[1])))
"""
    assert told(script) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
@pytest.mark.parametrize("threads", [None, 2])
def test_a_pool_forked_after_computing_uses_one_thread_whatever_is_asked(threads: int | None) -> None:
    script = f"""
import celpaint, torch, json, multiprocessing, warnings
from celpaint.threads import use_threads
warnings.simplefilter("ignore")
def work(seed):
    used = use_threads({threads})
    x = torch.randn(600, 600)
    (x @ x).sum(), torch.nn.functional.conv2d(x[None, None], x[None, None, :3, :3]).sum()
    return used
use_threads(2)
work(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(json.dumps(pool.map_async(work, range(4)).get(timeout=60)))
"""
    assert told(script) == [1, 1, 1, 1]


def test_the_default_is_at_least_one() -> None:
    assert default_threads() >= 1
    assert available_cores() >= 1
