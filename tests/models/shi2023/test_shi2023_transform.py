"""The color transform network of Shi et al. 2023, at toy size."""

from __future__ import annotations

from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from celpaint.errors import InputError, OptionError, ReferenceFrameError
from celpaint.models.shi2023.config import RefinementConfig, TransformConfig
from celpaint.models.shi2023.layers import plain_tensors
from celpaint.models.shi2023.refinement import TemporalRefinement
from celpaint.models.shi2023.transform import ColorTransform, ReferenceFeatures

TOY = TransformConfig(widths=(4, 6, 8), context=(2,), key=3, value=4, embedder=(4, 4, 4, 6, 6), blocks=2)


class Film(NamedTuple):
    """``B T`` frames: lines, distance in pixels, RGB."""

    lines: Tensor
    distance: Tensor
    rgb: Tensor

    def part(self, which: slice | list[int]) -> Film:
        return Film(*(x[:, which] for x in self))


def film(frames: int, height: int = 32, width: int = 48, clips: int = 1) -> Film:
    generator = torch.Generator().manual_seed(1)
    lines = (torch.rand(clips, frames, 1, height, width, generator=generator) > 0.9).float()
    paper = lines.flatten(0, 2).numpy() < 0.5
    distance = torch.from_numpy(np.stack([distance_transform_edt(x) for x in paper])).float().view_as(lines)
    return Film(lines, distance, torch.rand(clips, frames, 3, height, width, generator=generator))


def toy(config: TransformConfig = TOY) -> ColorTransform:
    torch.manual_seed(0)
    return ColorTransform(config)


@pytest.fixture(scope="module")
def net() -> ColorTransform:
    return toy().eval().requires_grad_(False)


def close(a: Tensor, b: Tensor, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


def test_results_have_the_drawings_shape_and_range(net: ColorTransform) -> None:
    targets, references = film(5, clips=2).part(slice(2)), film(5, clips=2).part(slice(2, 5))
    transformed, supervision = net(targets.lines, targets.distance, *references)
    assert transformed.rgb.shape == (2, 2, 3, 32, 48)
    assert transformed.confidence.shape == (2, 2, 1, 32, 48)
    assert supervision.grid == (8, 12)
    assert supervision.similarity.shape == (2, 2, 96, 3 * 96)
    assert supervision.similar.shape == supervision.middle.shape == (2, 2, 3, 8, 12)
    for x in (transformed.rgb, transformed.confidence, supervision.similar, supervision.middle):
        assert 0 <= float(x.min()) < float(x.max()) <= 1


def test_it_computes_equation_2(net: ColorTransform) -> None:
    frames = film(3)
    x, d = 1 - 2 * frames.lines, 2 * (frames.distance / 64).clamp(max=1) - 1
    y = 2 * frames.rgb - 1
    f_d, f_y = net.encode_distance(d[0]), net.encode_color(y[0, 1:])
    references = net.attention.encode_references(f_d[None, 1:], f_y[None])
    f_sim = net.attention(f_d[None, :1], references).features[0]
    embedded = net.embed.layers(torch.cat([x[0, 1:], y[0, 1:]], 1)).mean((2, 3))  # one style vector a reference
    affine = net.to_affine(embedded.mean(0)).view(2, 2, 2, 8)
    f_mid = net.encode_lines(x[0, :1]) + f_sim
    for i, block in enumerate(net.middle):
        f_mid = block(f_mid, affine[None, i])
    transformed, supervision = net(*frames.part(slice(1))[:2], *frames.part(slice(1, 3)))
    close(transformed.rgb[0], (net.decode(f_mid) + 1) / 2)
    close(supervision.similar[0], (net.latent_similar(f_sim) + 1) / 2)
    close(supervision.middle[0], (net.latent_middle(f_mid) + 1) / 2)


def test_references_encoded_once_color_many_drawings(net: ColorTransform) -> None:
    frames = film(5)
    targets, painted = frames.part(slice(3)), frames.part(slice(3, 5))
    together, _ = net(targets.lines, targets.distance, *painted)
    references = net.encode_references(*painted)
    for t in range(3):
        one = net.color(targets.lines[:, [t]], targets.distance[:, [t]], references, rows=17)
        close(one.rgb, together.rgb[:, [t]])
        close(one.confidence, together.confidence[:, [t]])


def test_clips_of_a_batch_do_not_meet(net: ColorTransform) -> None:
    frames = film(3, clips=2)
    targets, painted = frames.part(slice(1)), frames.part(slice(1, 3))
    both = net.color(targets.lines, targets.distance, net.encode_references(*painted))
    alone = net.color(targets.lines[1:], targets.distance[1:], net.encode_references(*(x[1:] for x in painted)))
    close(both.rgb[1:], alone.rgb)


def test_references_may_come_in_any_order_and_be_joined(net: ColorTransform) -> None:
    frames = film(4)
    lines, distance, _ = frames.part(slice(1))
    references = net.encode_references(*frames.part([1, 2, 3]))
    whole = net.color(lines, distance, references)
    close(net.color(lines, distance, net.encode_references(*frames.part([3, 1, 2]))).rgb, whole.rgb)
    two = net.color(lines, distance, net.encode_references(*frames.part([3, 1])))
    joined = ReferenceFeatures.join([net.encode_references(*frames.part([i])) for i in (3, 1)])
    close(net.color(lines, distance, joined).rgb, two.rgb)
    assert not torch.allclose(two.rgb, whole.rgb, atol=1e-3)


def test_one_reference_is_the_same_as_it_twice(net: ColorTransform) -> None:
    frames = film(2)
    lines, distance, _ = frames.part(slice(1))
    one = net.color(lines, distance, net.encode_references(*frames.part([1])))
    two = net.color(lines, distance, net.encode_references(*frames.part([1, 1])))
    close(one.rgb, two.rgb)
    close(one.confidence, two.confidence)


@settings(max_examples=12)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
def test_any_size_is_the_padded_picture_cropped(net: ColorTransform, height: int, width: int) -> None:
    frames = film(2, height, width)
    border = (0, -width % 16, 0, -height % 16)
    padded = Film(*(F.pad(x[0], border, mode="replicate")[None] for x in frames))

    def color(x: Film) -> Tensor:
        rgb, confidence = vars(
            net.color(x.lines[:, :1], x.distance[:, :1], net.encode_references(*x.part([1])))
        ).values()
        return torch.cat([rgb, confidence], 2)

    small = color(frames)
    assert small.shape == (1, 1, 4, height, width)
    close(small, color(padded)[..., :height, :width])


def test_gradients_reach_every_parameter() -> None:
    network, frames = toy(), film(4)
    network.add_spectral_norm()
    transformed, supervision = network(*frames.part(slice(2))[:2], *frames.part(slice(2, 4)))
    loss = transformed.rgb.square().sum() + supervision.similar.square().sum() + supervision.middle.square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 1e-7]
    assert not silent


@pytest.mark.parametrize("part", ["similarity", "confidence"])
def test_matching_and_confidence_can_be_supervised(part: str) -> None:
    network, frames = toy(), film(2)
    transformed, supervision = network(*frames.part([0])[:2], *frames.part([1]))
    {"similarity": supervision.similarity, "confidence": transformed.confidence}[part].square().sum().backward()
    learning = {n.split(".")[0] for n, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert learning == {"encode_distance", "attention"}


def test_spectral_norm_is_on_encoders_and_decoder_alone_and_leaves_plain_weights() -> None:
    network, frames = toy(), film(2)
    network.add_spectral_norm()
    normed = {name.split(".")[0] for name, m in network.named_modules() if nn.utils.parametrize.is_parametrized(m)}
    assert normed == {"encode_lines", "encode_distance", "encode_color", "decode"}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            assert nn.utils.parametrize.is_parametrized(module) == (name.split(".")[0] in normed)
    network.eval()
    plain = toy()
    plain.load_state_dict(plain_tensors(network.state_dict()))
    inputs = *frames.part([0])[:2], *frames.part([1])
    close(plain(*inputs)[0].rgb, network(*inputs)[0].rgb)


def test_a_drawing_without_lines_and_a_flat_reference_give_finite_colors(net: ColorTransform) -> None:
    blank = torch.zeros(1, 1, 1, 32, 32)
    distance = torch.full_like(blank, 45.0)  # nothing is farther than the diagonal
    references = net.encode_references(blank, distance, torch.full((1, 1, 3, 32, 32), 0.5))
    transformed = net.color(blank, distance, references)
    assert transformed.rgb.isfinite().all()
    assert transformed.confidence.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_changes_little(dtype: torch.dtype) -> None:
    network, frames = toy().eval().requires_grad_(False), film(3)

    def run(frames: Film) -> Tensor:
        references = network.encode_references(*frames.part([1, 2]))
        return network.color(frames.lines[:, :1], frames.distance[:, :1], references).rgb

    whole = run(frames)
    network.to(dtype)
    half = run(Film(*(x.to(dtype) for x in frames)))
    assert half.dtype == dtype
    assert float((half.float() - whole).abs().mean()) < 0.01


def test_distances_beyond_reach_are_all_the_same(net: ColorTransform) -> None:
    frames = film(2)
    references = net.encode_references(*frames.part([1]))
    far, farther = (net.color(frames.lines[:, :1], frames.distance[:, :1] + x, references).rgb for x in (64, 6400))
    assert torch.equal(far, farther)


def test_no_reference_is_an_error(net: ColorTransform) -> None:
    with pytest.raises(ReferenceFrameError, match="at least one painted frame"):
        net.encode_references(*film(1).part([]))


def test_references_of_another_size_are_an_error(net: ColorTransform) -> None:
    lines, distance, _ = film(1, 32, 32)
    with pytest.raises(InputError, match="48 x 32 pixels; wanted 32 x 32"):
        net.color(lines, distance, net.encode_references(*film(1, 32, 48)))


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_full_networks_have_the_parameters_of_their_layers() -> None:
    def conv(inputs: int, outputs: int, kernel: int, bias: bool = True) -> int:
        return outputs * (inputs * kernel**2 + bias)

    encoders = sum(conv(i, 64, 7, False) + conv(64, 128, 4, False) + conv(128, 256, 4, False) for i in (1, 1, 3))
    masks = 2 * conv(512, 256, 3)
    matching = conv(256, 32, 1) + conv(256, 32, 1, False) + conv(256, 32, 1) + conv(32, 256, 1)
    embedder = conv(4, 64, 7) + conv(64, 128, 4) + conv(128, 256, 4) + 2 * conv(256, 256, 4)
    affine = conv(256, 256, 1) + conv(256, 8 * 2 * 2 * 256, 1)
    middle = 16 * conv(256, 256, 3, False)
    decoder = conv(256, 256, 3, False) + conv(256, 128, 5, False) + conv(128, 64, 5, False) + conv(64, 3, 7)
    latent = 2 * conv(256, 3, 3)
    gated = [(4, 64, 5), (64, 128, 3), (128, 256, 3), *4 * [(256, 256, 3)], (512, 128, 3), (256, 64, 3), (128, 3, 3)]
    taps = 9 * 6  # of all gated layers but the first
    with torch.device("meta"):
        transform, refinement = ColorTransform(TransformConfig()), TemporalRefinement(RefinementConfig())
    assert count(transform) == encoders + masks + matching + embedder + affine + middle + decoder + latent
    assert count(refinement) == sum(2 * conv(*sizes) for sizes in gated) + taps


def test_small_networks_have_12_megabytes_in_half_precision() -> None:
    networks = ColorTransform(TransformConfig.small()), TemporalRefinement(RefinementConfig.small())
    assert sum(2 * x.numel() for network in networks for x in network.state_dict().values()) <= 12_000_000


def test_a_configuration_survives_json() -> None:
    small = TransformConfig.small()
    as_json = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(small).items()}
    assert TransformConfig(**as_json) == small


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("widths", (8, 8)),
        ("context", (0,)),
        ("key", 0),
        ("value", 0),
        ("scale", 0.0),
        ("embedder", ()),
        ("embedder", (4,) * 6),
        ("blocks", 0),
        ("upsample_kernel", 4),
        ("reach", -1.0),
    ],
)
def test_sizes_that_make_no_network_are_errors(field: str, value: object) -> None:
    with pytest.raises(OptionError, match=field):
        TransformConfig(**{field: value})  # type: ignore[arg-type]


def test_the_distance_encoder_sees_as_far_as_its_configuration_says() -> None:
    def seen(config: TransformConfig) -> int:
        """Width in pixels that one position depends on, by convolutions alone: norms see everything."""
        width, step = 0, 1
        for module in toy(config).encode_distance.modules():
            if isinstance(module, nn.Conv2d):
                width += (module.kernel_size[0] - 1) * module.dilation[0] * step
                step *= module.stride[0]
        return width + 1

    assert seen(TransformConfig()) == 16
    assert seen(TransformConfig.small()) == 240
