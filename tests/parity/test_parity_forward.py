"""One pass of UNet and ControlNet, against numbers of the official implementation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from celpaint.methods.lvcd.weights import Networks
from celpaint.models.attention import Routing, training_routing
from celpaint.sampling.segments import plan_segments
from celpaint.sampling.sigmas import v_scaling

Numbers = dict[str, Tensor]
PREVREF = plan_segments(36, faithful=True)[1]
MODES: dict[str, Routing] = {
    "prevref": PREVREF.routing,
    "normal": PREVREF.late.even,
    "prevref_late": PREVREF.late,
    "train15": training_routing(14),
}


def close(seen: Tensor, wanted: Tensor, atol: float = 1e-4) -> None:
    torch.testing.assert_close(seen, wanted, atol=atol, rtol=0)


def run(networks: Networks, forward: Numbers, mode: str) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Output of the UNet, denoised latents, outputs of the ControlNet."""
    routing = MODES[mode]
    x, concat, hint = (forward[name][-len(routing) :] for name in ("x", "concat", "hint"))
    scaling = v_scaling(float(forward["sigma"][0]))
    given = (
        torch.cat([x * scaling.inner, concat], 1)[None],
        torch.tensor([scaling.noise]),
        forward["crossattn"],
        torch.tensor([[6.0, 160.0, 0.0]]),
        routing,
    )
    with torch.inference_mode():
        control = networks.controlnet(*given, networks.controlnet.hint(hint[None]))
        out = networks.unet(*given, control).sample[0]
    return out, out * scaling.out + x * scaling.skip, control


@pytest.mark.parametrize("mode", MODES)
def test_outputs_agree(networks: Networks, forward: Numbers, mode: str) -> None:
    out, denoised, control = run(networks, forward, mode)
    close(out, forward[f"{mode}.unet_out"])
    close(denoised, forward[f"{mode}.denoised"])
    kept = forward["frames"].long()
    for i, side in enumerate(control):
        if (name := f"{mode}.control.{i:02d}") in forward:
            close(side[kept], forward[name])


def test_v_scaling_agrees(forward: Numbers) -> None:
    scaling = v_scaling(3.0)
    names = ("c_skip", "c_out", "c_in", "c_noise")
    torch.testing.assert_close(torch.tensor(scaling), torch.cat([forward[name] for name in names]))


# Official name of a module -> ours, and its output -> the layout of the stored numbers.
FRAMES_FIRST: Callable[[Tensor], Tensor] = lambda y: y  # noqa: E731
WINDOW: Callable[[Tensor], Tensor] = lambda y: y[0]  # noqa: E731
TRANSFORMER = "down_blocks.0.attentions.0"
INSIDE: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "input_blocks.00": ("conv_in", FRAMES_FIRST),
    "input_blocks.1.0": ("down_blocks.0.resnets.0", FRAMES_FIRST),
    "input_blocks.1.1": (TRANSFORMER, FRAMES_FIRST),
    "input_blocks.1.1.time_pos_embed": (f"{TRANSFORMER}.time_pos_embed", FRAMES_FIRST),
    "input_blocks.1.1.transformer_blocks.0": (f"{TRANSFORMER}.transformer_blocks.0", WINDOW),
    "input_blocks.1.1.transformer_blocks.0.attn1.to_out": (f"{TRANSFORMER}.transformer_blocks.0.attn1", WINDOW),
    "input_blocks.1.1.time_stack.0": (f"{TRANSFORMER}.temporal_transformer_blocks.0", WINDOW),
    "middle_block": ("mid_block.resnets.1", FRAMES_FIRST),
}
LEVELS, LAYERS = 4, 2
for n in range(1, LEVELS * (LAYERS + 1)):
    level, i = divmod(n - 1, LAYERS + 1)
    part = "downsamplers.0" if i == LAYERS else f"{'attentions' if level < LEVELS - 1 else 'resnets'}.{i}"
    INSIDE[f"input_blocks.{n:02d}"] = (f"down_blocks.{level}.{part}", FRAMES_FIRST)
for n in range(LEVELS * (LAYERS + 1)):
    level, i = divmod(n, LAYERS + 1)
    part = f"{'attentions' if level else 'resnets'}.{i}"
    last = i == LAYERS and level < LEVELS - 1
    INSIDE[f"output_blocks.{n:02d}"] = (f"up_blocks.{level}.{'upsamplers.0' if last else part}", FRAMES_FIRST)


@pytest.fixture(scope="module")
def inside(networks: Networks, forward: Numbers) -> dict[str, Tensor]:
    """Outputs of all modules of INSIDE, and of a few whose numbers need more than a look."""
    seen: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, given, out: seen.__setitem__(name, out)

    modules = dict(networks.unet.named_modules())
    extra = {
        "time_embed": "time_embedding",
        "label_emb": "add_embedding",
        "attn2": f"{TRANSFORMER}.transformer_blocks.0.attn2",
        "temporal": f"{TRANSFORMER}.temporal_transformer_blocks.0.attn1",
        "residual": "down_blocks.0.resnets.0.temporal_res_block",
    }
    wanted = {name: ours for name, (ours, _) in INSIDE.items()} | extra
    hooks = [modules[ours].register_forward_hook(watch(name)) for name, ours in wanted.items()]
    run(networks, forward, "prevref")
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("name", INSIDE)
def test_inner_outputs_agree(inside: dict[str, Tensor], forward: Numbers, name: str) -> None:
    seen = INSIDE[name][1](inside[name])
    close(seen[forward["frames"].long()], forward[f"prevref.unet.{name}"], atol=3e-4)


def test_every_inner_number_is_compared(forward: Numbers) -> None:
    stored = {key.removeprefix("prevref.unet.") for key in forward if key.startswith("prevref.unet.")}
    first = "input_blocks.1.1.transformer_blocks.0.attn2.to_out"
    others = {"time_embed", "label_emb", first, "input_blocks.1.1.time_stack.0.attn1.to_out"}
    assert stored - set(INSIDE) == others | {"input_blocks.1.0.time_stack"}


def test_embeddings_agree(inside: dict[str, Tensor], forward: Numbers) -> None:
    for name in ("time_embed", "label_emb"):
        close(inside[name].expand(len(forward["frames"]), -1), forward[f"prevref.unet.{name}"])


def test_one_token_cross_attention_is_the_same_at_every_place(inside: dict[str, Tensor], forward: Numbers) -> None:
    wanted = forward["prevref.unet.input_blocks.1.1.transformer_blocks.0.attn2.to_out"]
    close(inside["attn2"][0].expand_as(wanted), wanted)


def test_temporal_attention_agrees(inside: dict[str, Tensor], forward: Numbers) -> None:
    seen = inside["temporal"][0].transpose(0, 1)[:, forward["frames"].long()]
    close(seen, forward["prevref.unet.input_blocks.1.1.time_stack.0.attn1.to_out"])


def test_temporal_residual_block_agrees(inside: dict[str, Tensor], forward: Numbers) -> None:
    wanted = forward["prevref.unet.input_blocks.1.0.time_stack"]
    close(inside["residual"][:, :, forward["frames"].long()].reshape(wanted.shape), wanted, atol=3e-4)
