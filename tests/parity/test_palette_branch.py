"""With an untrained palette branch, LVCD gives the numbers of the official implementation as before."""

from __future__ import annotations

import pytest
import torch
from test_parity_forward import MODES, Numbers, close

from celpaint.methods.lvcd.weights import Networks
from celpaint.models.palette.color_network import ColorNetwork, replicated
from celpaint.sampling.sigmas import v_scaling


@pytest.mark.parametrize("mode", MODES)
@torch.inference_mode()
def test_outputs_agree_with_a_palette_branch_present(networks: Networks, forward: Numbers, mode: str) -> None:
    routing, unet = MODES[mode], networks.unet
    x, concat, hint = (forward[name][-len(routing) :] for name in ("x", "concat", "hint"))
    scaling = v_scaling(float(forward["sigma"][0]))
    given = (
        torch.cat([x * scaling.inner, concat], 1)[None],
        torch.tensor([scaling.noise]),
        forward["crossattn"],
        torch.tensor([[6.0, 160.0, 0.0]]),
        routing,
    )
    control = networks.controlnet(*given, networks.controlnet.hint(hint[None]))
    branch = ColorNetwork(5, unet.config.block_out_channels[0])
    palette = torch.rand(1, 15) * 2 - 1
    for embedding in (branch(palette), branch.without_palette(1)):
        out = unet(*given, control, extra_features=replicated(embedding, len(routing))).sample[0]
        close(out, forward[f"{mode}.unet_out"])
        assert torch.equal(out, unet(*given, control).sample[0])
