"""Layers of Shi et al. 2023, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from celpaint.models.shi2023.layers import (
    GatedShiftConv,
    NormConv,
    Padding,
    Residual,
    TemporalShift,
    UpsampleConv,
    add_spectral_norm,
    instance_norm,
    pad_to_multiple,
    plain_tensors,
    signed,
    unsigned,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


def test_adain_gives_every_channel_the_mean_beta_and_the_deviation_gamma() -> None:
    x = 3 * normal(2, 4, 9, 11) + 7
    beta, gamma = normal(2, 4, seed=1), normal(2, 4, seed=2)
    out = instance_norm(x, torch.stack([beta, gamma], 1))
    close(out.mean((2, 3)), beta)
    close(out.std((2, 3), correction=0), gamma.abs(), 1e-4)


def test_instance_norm_is_pytorchs() -> None:
    x = 3 * normal(2, 4, 9, 11) + 7
    close(instance_norm(x), F.instance_norm(x))


def test_instance_norm_is_accurate_where_the_mean_is_far_from_zero() -> None:
    x = normal(1, 2, 16, 16) + 1000
    close(instance_norm(x), F.instance_norm(x.double()).float(), 1e-3)


def test_instance_norm_of_a_flat_picture_is_zero() -> None:
    assert torch.equal(instance_norm(torch.full((1, 2, 4, 4), 0.5)), torch.zeros(1, 2, 4, 4))


def test_instance_norm_keeps_half_precision_but_computes_in_float32() -> None:
    x = (300 * normal(1, 2, 32, 32)).half()  # squares of it overflow half precision
    out = instance_norm(x)
    assert out.dtype == torch.float16
    close(out.float(), F.instance_norm(x.float()), 2e-3)


def test_norm_conv_normalizes_before_the_relu() -> None:
    layer = NormConv(nn.Conv2d(2, 3, 3, padding=1, bias=False))
    x = normal(1, 2, 6, 6)
    close(layer(x), F.instance_norm(F.conv2d(x, layer.conv.weight, padding=1)).relu())


def test_residual_block_uses_its_affine_parameters_in_order() -> None:
    block = Residual(3)
    x, affine = normal(2, 3, 5, 6), normal(2, 2, 2, 3, seed=1)

    def conv(layer: nn.Conv2d, y: Tensor) -> Tensor:
        return F.conv2d(F.pad(y, (1, 1, 1, 1), mode="replicate"), layer.weight)

    def norm(y: Tensor, k: int) -> Tensor:
        return affine[:, k, 1, :, None, None] * F.instance_norm(y) + affine[:, k, 0, :, None, None]

    close(block(x, affine), x + norm(conv(block.second, norm(conv(block.first, x), 0).relu()), 1))


@pytest.mark.parametrize("padding_mode", ["zeros", "replicate"])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_upsampling_convolution_equals_upsampling_then_convolution(kernel: int, padding_mode: Padding) -> None:
    layer = UpsampleConv(2, 3, kernel, padding_mode=padding_mode)
    x = normal(2, 2, 4, 5)
    large = F.interpolate(x, scale_factor=2, mode="nearest")
    border = (kernel // 2,) * 4
    large = F.pad(large, border, mode="constant" if padding_mode == "zeros" else padding_mode)
    close(layer(x), F.conv2d(large, layer.weight, layer.bias))


def test_temporal_shift_starts_by_showing_a_quarter_of_the_next_and_a_quarter_of_the_previous_frame() -> None:
    x = normal(2, 4, 8, 3, 5)
    before = x.clone()
    out = TemporalShift(8)(x)
    for t in range(4):
        assert torch.equal(out[:, t, :2], x[:, t + 1, :2] if t < 3 else torch.zeros(2, 2, 3, 5))
        assert torch.equal(out[:, t, 2:4], x[:, t - 1, 2:4] if t > 0 else torch.zeros(2, 2, 3, 5))
        assert torch.equal(out[:, t, 4:], x[:, t, 4:])
    assert torch.equal(x, before)


def test_temporal_shift_filters_each_group_with_its_three_taps() -> None:
    shift = TemporalShift(4)
    taps = [[0.5, 2.0, -1.0], [0.25, -3.0, 4.0]]
    with torch.no_grad():
        shift.taps.copy_(torch.tensor(taps))
    x = np.arange(1, 13, dtype=np.float32).reshape(3, 4)  # three frames, four channels, one pixel
    out = shift(torch.from_numpy(x)[None, :, :, None, None])[0, :, :, 0, 0].detach().numpy()
    for channel in (0, 1):
        previous, this, following = taps[channel]
        a, b, c = x[:, channel]
        expected = [this * a + following * b, previous * a + this * b + following * c, previous * b + this * c]
        np.testing.assert_allclose(out[:, channel], expected, rtol=1e-6)
    np.testing.assert_array_equal(out[:, 2:], x[:, 2:])


@settings(max_examples=10)
@given(channels=st.integers(1, 12), frames=st.integers(1, 4))
def test_temporal_shift_takes_any_number_of_channels_and_frames(channels: int, frames: int) -> None:
    x = normal(1, frames, channels, 2, 2)
    out = TemporalShift(channels)(x)
    moved = 2 * (channels // 4)
    assert out.shape == x.shape
    assert torch.equal(out[:, :, moved:], x[:, :, moved:])
    if frames == 1:
        assert not out[:, :, :moved].any()


def test_the_gate_sees_frames_unshifted() -> None:
    feature, gate = nn.Conv2d(4, 2, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)
    layer = GatedShiftConv(feature, gate, shift=TemporalShift(4), activation=nn.LeakyReLU(0.2))
    x = normal(1, 3, 4, 5, 5)
    out = layer(x)
    for t in range(3):
        shifted = x[:, t].clone()
        shifted[:, 0] = x[:, t + 1, 0] if t < 2 else 0
        shifted[:, 1] = x[:, t - 1, 1] if t > 0 else 0
        close(out[:, t], F.leaky_relu(feature(shifted), 0.2) * gate(x[:, t]).sigmoid())


def test_padding_repeats_the_right_and_bottom_border() -> None:
    x = normal(1, 2, 5, 7)
    padded = pad_to_multiple(x, 4)
    assert padded.shape == (1, 2, 8, 8)
    assert torch.equal(padded[..., :5, :7], x)
    assert torch.equal(padded[..., 5:, :7], x[..., 4:, :].expand(-1, -1, 3, -1))
    assert torch.equal(padded[..., 7], padded[..., 6])
    assert pad_to_multiple(padded, 4) is padded


def test_signed_and_unsigned_are_inverse() -> None:
    assert torch.equal(signed(torch.tensor([0.0, 0.5, 1.0])), torch.tensor([-1.0, 0.0, 1.0]))
    assert torch.equal(unsigned(torch.tensor([-1.0, 0.0, 1.0])), torch.tensor([0.0, 0.5, 1.0]))


def test_spectral_norm_makes_the_largest_singular_value_one_and_folds_into_plain_weights() -> None:
    def build() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(
            NormConv(nn.Conv2d(3, 4, 3, bias=False)), UpsampleConv(4, 2, 3, padding_mode="zeros"), nn.Linear(12, 6)
        )

    trained, plain = build(), build()
    add_spectral_norm([trained])
    x = normal(1, 3, 5, 8)
    for _ in range(30):  # power iterations
        trained(x)
    trained.eval()
    tensors = plain_tensors(trained.state_dict())
    assert tensors.keys() == plain.state_dict().keys()
    for name in ("0.conv.weight", "1.weight"):
        singular = np.linalg.svd(tensors[name].flatten(1).numpy(), compute_uv=False)
        assert singular[0] == pytest.approx(1, abs=1e-3)
    assert torch.equal(tensors["2.weight"], plain[2].weight)
    assert plain.load_state_dict(tensors)
    close(plain(x), trained(x))
