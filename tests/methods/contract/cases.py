"""Every registered method and baseline at toy size, each by name with its options."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

from celpaint.methods.base import Method
from celpaint.methods.registry import method_names, method_spec
from celpaint.methods.registry import register as register_method
from celpaint.methods.spec import MethodSpec
from celpaint.options import ComputeOptions

BASELINES = ("copy", "flow", "flow-chained", "segments")
CASES = (*method_names(), *BASELINES)
"""Read before any test adds a method of its own."""


@dataclass(frozen=True)
class Adapter:
    """A baseline under the interface by which methods are loaded."""

    name: str

    def load(self, options: ComputeOptions) -> Method:
        from celpaint.benchmark.baselines import BASELINES as MAKE

        return MAKE[self.name]()


def _baseline(name: str) -> MethodSpec:
    word = name.replace("-", "_")
    options = make_dataclass(f"{word}_options", [], bases=(ComputeOptions,), frozen=True, kw_only=True)
    setattr(sys.modules[__name__], f"load_{word}", Adapter(name))
    return MethodSpec(name=name, title=name, options=options, run=f"{__name__}:load_{word}")


SPECS = {name: _baseline(name) for name in BASELINES}
for _name, _spec in SPECS.items():
    setattr(sys.modules[__name__], f"SPEC_{_name.replace('-', '_')}", _spec)


def register() -> None:
    """Make the baselines methods of this process, so that :func:`celpaint.render` takes them."""
    for name in BASELINES:
        register_method(name, f"{__name__}:SPEC_{name.replace('-', '_')}")


def make_weights(root: Path) -> dict[str, dict[str, Any]]:
    """Toy weights of every registered method that has weights: options by method's name.

    A new method needs an entry here, and nothing else in this suite.
    """
    return {
        "matcher": {"weights": str(_matcher(root / "matcher"))},
        "lvcd": {"weights": str(_lvcd(root / "lvcd")), "steps": 1},
        "shi2023": {"weights": str(_shi2023(root / "shi2023"))},
        "palette": {"weights": str(_palette(root / "palette"))},
        "colorize-diffusion": {"weights": str(_colorize_diffusion(root / "colorize_diffusion")), "steps": 1},
        **{name: {} for name in BASELINES},
    }


def _matcher(folder: Path) -> Path:
    import torch

    from celpaint.models.matcher.network import Matcher
    from celpaint.weights.store import write_network
    from toy import MATCHER

    torch.manual_seed(0)
    write_network(folder, MATCHER, Matcher(**MATCHER).state_dict())
    return folder


def _lvcd(folder: Path) -> Path:
    import torch

    from celpaint.methods.lvcd.weights import Card, Networks
    from celpaint.models.image_encoder import LatentEmbedding
    from celpaint.models.lvcd.unet import UNet
    from celpaint.models.vae import LineCodec
    from toy import toy_config, toy_controlnet, toy_line_vae

    torch.manual_seed(0)
    unet = UNet(toy_config())
    card = Card(steps=1, area=48 * 64, sigma_max=20.0)
    Networks(unet, toy_controlnet(unet), LineCodec(toy_line_vae()), LatentEmbedding(4, 16), card).save(folder)
    return folder


def _shi2023(folder: Path) -> Path:
    from toy_shi2023 import write_toy_weights

    return write_toy_weights(folder)


def _palette(folder: Path) -> Path:
    from toy_palette import write_toy_weights

    return write_toy_weights(folder)


def _colorize_diffusion(folder: Path) -> Path:
    from dataclasses import replace

    from celpaint.methods.colorize_diffusion.networks import Card
    from toy_colorize import toy_networks

    replace(toy_networks(), card=Card(sampler="dpmpp_2m", steps=1, guidance=2.0, area=48 * 64)).save(folder)
    return folder


MEMORY_GROWS = {"palette": "0.4 GiB more for 400 drawings than for 20, cause not found"}
"""Methods that are known to break the promise of flat memory, and by how much."""


def path_options(name: str) -> dict[str, Any]:
    """How the shot is to be read: methods for gray footage take line art as pictures."""
    requires = SPECS[name].requires if name in SPECS else method_spec(name).requires
    return {"holds": "off", **({"lines": "extract"} if "gray" in requires else {})}


def main(request: dict[str, Any]) -> None:
    """In a process of its own: render again and again, each time in a fork that is killed after its first new chunk,
    until one comes to its end. Prints, as JSON, how many were killed and the last one's peak memory in MiB.
    """
    import os
    import resource
    import signal

    import torch

    import celpaint.shot
    from celpaint.job import Job

    register()
    torch.set_num_threads(1)
    celpaint.shot._KEPT = 2**20  # caches that are full with 20 drawings already
    commit = Job.commit

    def killing(job: Job, *what: Any) -> None:
        commit(job, *what)
        os.kill(os.getpid(), signal.SIGKILL)

    killed = 0
    while True:
        child = os.fork()
        if child == 0:
            if killed < request["kills"]:
                Job.commit = killing  # type: ignore[method-assign]
            try:
                celpaint.render(request["source"], request["out"], **request["options"])
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        _, status, usage = os.wait4(child, 0)
        if not os.WIFSIGNALED(status):
            break
        killed += 1
    assert isinstance(usage, resource.struct_rusage)
    print(json.dumps({"killed": killed, "exit": os.WEXITSTATUS(status), "peak": usage.ru_maxrss / 1024}))


if __name__ == "__main__":
    sys.modules.setdefault("cases", sys.modules["__main__"])
    main(json.loads(sys.argv[1]))
