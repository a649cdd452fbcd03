"""Passes of the UNet in every mode, and what happens inside, against numbers of the official program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from cd2_modes import MODES, OfficialMode
from cd2_numbers import Numbers
from torch import Tensor, nn

from celpaint.methods.colorize_diffusion.conditioning import condition
from celpaint.methods.colorize_diffusion.networks import Networks
from celpaint.methods.colorize_diffusion.pictures import Pictures
from celpaint.methods.colorize_diffusion.semantics import Official
from celpaint.models.colorize_diffusion.attention import Split

PASSES = {f"{mode}.out": (mode, 601.0) for mode in MODES}
PASSES |= {"vanilla.t0.out": ("vanilla", 0.0), "full.t999.out": ("full", 999.0), "full.t312_4.out": ("full", 312.4)}
INNER = 3e-4
"""Tolerance of inner tensors, as a share of their standard deviation."""


@pytest.mark.parametrize("name", PASSES)
@torch.inference_mode()
def test_outputs_agree(
    networks: Networks, modes: dict[str, OfficialMode], inputs: dict[str, Tensor], unet: Numbers, name: str
) -> None:
    mode, timestep = PASSES[name]
    seen = [
        networks.unet(inputs["x"], torch.tensor([timestep]), conditions).sample for conditions in modes[mode].branches
    ]
    unet.check(name, torch.cat(seen), atol=2e-4)


def test_every_recorded_output_is_compared(unet: Numbers) -> None:
    assert {name for name in unet.names() if name.endswith(".out")} == PASSES.keys()


@pytest.mark.parametrize("mode", ["style", "style_img"])
def test_style_vectors_agree(modes: dict[str, OfficialMode], unet: Numbers, mode: str) -> None:
    style = modes[mode].conditions.style
    assert style is not None
    assert len(style) == 12
    for i, vector in enumerate(style):
        unet.check(f"{mode}.style.{i:02d}", vector, of_std=INNER)


@pytest.mark.parametrize(("mode", "recorded"), [("bg", 12), ("bg_img", 6), ("full_img", 6)])
def test_background_features_agree(modes: dict[str, OfficialMode], unet: Numbers, mode: str, recorded: int) -> None:
    injected = modes[mode].conditions.injected
    assert injected is not None
    names = {f"{mode}.hs_bg.{i:02d}": feature for i, feature in enumerate(injected.features)}
    compared = names.keys() & unet.names()
    assert len(compared) == recorded
    for name in compared:
        unet.check(name, names[name], of_std=INNER)


class Watch:
    """Inputs and outputs of modules, by name."""

    def __init__(self) -> None:
        self.seen: dict[str, Tensor] = {}
        self.hooks: list[torch.utils.hooks.RemovableHandle] = []

    def output(self, name: str, module: nn.Module, take: Callable[[Any], Tensor] = lambda out: out) -> None:
        """Record what a module gives."""
        self.hooks.append(
            module.register_forward_hook(lambda _, __, out: self.seen.__setitem__(name, take(out).clone()))
        )

    def input(self, name: str, module: nn.Module, take: Callable[[Any], Tensor] = lambda given: given[0]) -> None:
        """Record what a module is given."""
        self.hooks.append(
            module.register_forward_pre_hook(lambda _, given: self.seen.__setitem__(name, take(given).clone()))
        )

    def projections(self, name: str, module: nn.Module) -> None:
        """Record what a projection with LoRA gives, by the LoRA asked for."""
        self.hooks.append(
            module.register_forward_hook(lambda _, given, out: self.seen.__setitem__(f"{name}_{given[1]}", out.clone()))
        )

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()


ATTENTION = ("input_blocks.4", "middle_block", "output_blocks.4", "output_blocks.9")
FEATURES: Callable[[Any], Tensor] = lambda out: out.features  # noqa: E731


@pytest.fixture(scope="module")
def inside(networks: Networks, modes: dict[str, OfficialMode], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The conditional pass of mode full."""
    net, conditions = networks.unet, modes["full"].conditions
    with Watch() as watch, torch.inference_mode():
        watch.output("time_embed", net.time_embed)
        for i, block in enumerate(net.input_blocks):
            watch.output(f"input_blocks.{i:02d}", block, FEATURES)
        watch.output("middle_block", net.middle_block, FEATURES)
        for i, block in enumerate(net.output_blocks):
            watch.output(f"output_blocks.{i:02d}", block, FEATURES)
            channels = net.warp_modules[i].norm1.normalized_shape[0]
            watch.input(f"skip.{i:02d}", block, lambda given, channels=channels: given[0][:, -channels:])
            watch.output(f"warp.{i:02d}", net.warp_modules[i])
            watch.output(f"scale_shift.{i:02d}", net.style_modules[i][2])
        for name in ATTENTION:
            layer = net.get_submodule(f"{name}.1.transformer_blocks.0.attn2")
            watch.input(f"attn2.{name}.x", layer)
            watch.input(f"attn2.{name}.composed", layer.to_out[0])
            watch.output(f"attn2.{name}.to_out", layer)
            for part in ("to_q", "to_k", "to_v"):
                watch.projections(f"attn2.{name}.{part}", getattr(layer, part))
        net(inputs["x"], torch.tensor([601.0]), conditions)
    with torch.inference_mode():
        for name in ATTENTION:
            layer, x = net.get_submodule(f"{name}.1.transformer_blocks.0.attn2"), watch.seen[f"attn2.{name}.x"]
            split = conditions.context.at(0, 0)
            assert isinstance(split, Split)
            watch.seen[f"attn2.{name}.attn_fg"] = layer.attend(x, split.foreground, "fg")
            watch.seen[f"attn2.{name}.attn_bg"] = layer.attend(x, split.background, "bg")
    return watch.seen


def test_inner_tensors_agree(inside: dict[str, Tensor], unet: Numbers) -> None:
    recorded = {name.removeprefix("unet.") for name in unet.names("unet.")}
    assert recorded <= inside.keys()
    for name in sorted(recorded):
        unet.check(f"unet.{name}", inside[name], of_std=INNER)


@pytest.mark.parametrize(("part", "mode"), [("bg_encoder", "bg"), ("style_encoder", "style")])
def test_inside_of_the_encoders_agrees(
    networks: Networks, pictures: Pictures, official: Official, unet: Numbers, part: str, mode: str
) -> None:
    net = networks.background_encoder if part == "bg_encoder" else networks.style_encoder
    with Watch() as watch, torch.inference_mode():
        watch.output("time_embed", net.time_embed)
        watch.output("label_emb", net.label_emb)
        for i, block in enumerate(net.input_blocks):
            watch.output(f"input_blocks.{i:02d}", block, FEATURES)
            watch.output(f"pooled.{i:02d}", block, lambda out: out.features.mean((2, 3)))
        condition(networks, pictures, MODES[mode].mode, semantics=official)
    recorded = {name.removeprefix(f"{part}.") for name in unet.names(f"{part}.")}
    assert len(recorded) == (4 if part == "bg_encoder" else 16)
    for name in recorded:
        unet.check(f"{part}.{name}", watch.seen[name], of_std=INNER)
