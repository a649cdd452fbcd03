"""The discriminators of Shi et al. 2023."""

from __future__ import annotations

import torch
from torch import nn

from celpaint.models.shi2023.discriminators import ClipDiscriminator, FrameDiscriminator

NARROW = (4, 4, 8, 8)


def is_normed(module: nn.Module) -> bool:
    return nn.utils.parametrize.is_parametrized(module)


def convs(network: nn.Module) -> list[nn.Module]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d)]


def test_frames_are_judged_in_patches() -> None:
    network = FrameDiscriminator(widths=NARROW)
    assert network(torch.rand(2, 1, 256, 256), torch.rand(2, 3, 256, 256)).shape == (2, 1, 30, 30)
    assert network(torch.rand(1, 1, 33, 50), torch.rand(1, 3, 33, 50)).isfinite().all()


def test_clips_are_judged_in_patches() -> None:
    network = ClipDiscriminator(widths=NARROW)
    assert network(torch.rand(1, 3, 1, 256, 256), torch.rand(1, 3, 3, 256, 256)).shape == (1, 3, 1, 8, 8)
    assert network(torch.rand(2, 4, 1, 33, 50), torch.rand(2, 4, 3, 33, 50)).shape == (2, 4, 1, 2, 2)


def test_spectral_norm_is_on_all_but_the_last_convolution_for_frames_and_on_all_for_clips() -> None:
    assert [is_normed(m) for m in convs(FrameDiscriminator(widths=NARROW))] == [True] * 4 + [False]
    assert [is_normed(m) for m in convs(ClipDiscriminator(widths=NARROW))] == [True] * 5


def test_the_judgment_of_a_clip_depends_on_the_order_of_its_frames() -> None:
    torch.manual_seed(0)
    network = ClipDiscriminator(widths=NARROW).eval()
    lines, rgb = torch.rand(1, 4, 1, 64, 64), torch.rand(1, 4, 3, 64, 64)
    order = [0, 2, 1, 3]
    moved = network(lines[:, order], rgb[:, order])[:, order]
    assert not torch.allclose(network(lines, rgb), moved, atol=1e-5)


def test_gradients_reach_every_parameter_and_the_colors() -> None:
    torch.manual_seed(0)
    for network, lead in ((FrameDiscriminator(widths=NARROW), (2,)), (ClipDiscriminator(widths=NARROW), (1, 3))):
        rgb = torch.rand(*lead, 3, 64, 64, requires_grad=True)
        network(torch.rand(*lead, 1, 64, 64), rgb).square().sum().backward()
        assert rgb.grad is not None
        assert rgb.grad.any()
        assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_full_discriminators_have_the_parameters_of_their_layers() -> None:
    def conv(inputs: int, outputs: int, kernel: int) -> int:
        return outputs * (inputs * kernel**2 + 1)

    frame = [conv(4, 64, 4), conv(64, 128, 4), conv(128, 256, 4), conv(256, 512, 4), conv(512, 1, 4)]
    clip = [conv(4, 64, 5), conv(64, 128, 5), conv(128, 256, 5), conv(256, 256, 5), conv(256, 1, 5)]
    with torch.device("meta"):
        assert sum(p.numel() for p in FrameDiscriminator().parameters()) == sum(frame)
        assert sum(p.numel() for p in ClipDiscriminator().parameters()) == sum(clip) + 4 * 6  # and the shifts' taps
