"""The line-aware autoencoder: shapes, units, what it may see, and that lines help."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from celpaint.errors import WeightsError
from celpaint.models.line_vae import Latents, LineVAE, LineVAEConfig
from celpaint.weights.store import load_network, read_config, read_tensors, write_network

TOY = LineVAEConfig(latent_channels=3, widths=(4, 6, 8, 10), blocks=1)


def stirred(config: LineVAEConfig = TOY) -> LineVAE:
    """A network none of whose layers is still at zero."""
    torch.manual_seed(0)
    net = LineVAE(config).eval()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    net.shift.normal_()
    net.scale.uniform_(0.5, 2)
    return net.requires_grad_(False)


def test_the_default_has_at_most_8_million_parameters() -> None:
    count = sum(p.numel() for p in LineVAE().parameters())
    assert 4_000_000 < count <= 8_000_000


@settings(max_examples=10, deadline=None)
@given(height=st.integers(1, 5), width=st.integers(1, 5), clips=st.integers(1, 2), frames=st.integers(1, 4))
def test_any_multiple_of_8_works(height: int, width: int, clips: int, frames: int) -> None:
    net = LineVAE(TOY)
    rgb = torch.rand(clips * frames, 3, 8 * height, 8 * width)
    latents = net.encode(rgb)
    assert latents.mean.shape == latents.logvar.shape == (clips * frames, 3, height, width)
    assert net.decode(latents.sample(), rgb[:, :1], frames).shape == rgb.shape


def test_latents_are_in_the_units_of_the_training_data() -> None:
    net = stirred()
    rgb, lines = torch.rand(2, 3, 16, 24), torch.rand(2, 1, 16, 24)
    raw, latents = net.moments(rgb), net.encode(rgb)
    torch.testing.assert_close(latents.mean, (raw.mean - net.shift[:, None, None]) / net.scale[:, None, None])
    torch.testing.assert_close((raw.logvar - latents.logvar).exp().sqrt()[0, :, 0, 0], net.scale)
    torch.testing.assert_close(net.decode(latents.mode(), lines, 2), net.decode_moments(raw.mode(), lines, 2))


def test_a_frame_sees_only_its_reach_in_time_and_its_own_clip() -> None:
    net = stirred().double()
    frames = 2 * net.reach + 3
    latents, lines = (torch.rand(2 * frames, *shape, dtype=torch.float64) for shape in ((3, 2, 2), (1, 16, 16)))
    before = net.decode(latents, lines, frames)
    latents[0] += 1
    changed = (net.decode(latents, lines, frames) - before).abs().amax((1, 2, 3)) > 0
    assert changed.nonzero().flatten().tolist() == list(range(net.reach + 1))


def test_chunks_with_their_neighbors_equal_the_whole() -> None:
    net = stirred()
    latents, lines = torch.randn(20, 3, 2, 2), torch.rand(20, 1, 16, 16)
    whole = net.decode(latents, lines, 20)
    torch.testing.assert_close(
        net.decode(latents[: 5 + net.reach], lines[: 5 + net.reach], 5 + net.reach)[:5], whole[:5]
    )


def test_lines_reach_the_picture_at_every_scale() -> None:
    net = stirred()
    latents, lines = torch.randn(1, 3, 2, 2), torch.rand(1, 1, 16, 16)
    before = net.decode(latents, lines)
    assert (net.decode(latents, 1 - lines) - before).abs().max() > 0.01
    for hint in net.lines:
        held = hint.weight.clone()
        hint.weight.zero_()
        assert (net.decode(latents, lines) - before).abs().max() > 1e-4
        hint.weight.copy_(held)


def test_starts_without_mixing_frames_and_with_little_noise() -> None:
    torch.manual_seed(0)
    net = LineVAE(TOY)
    latents, lines = torch.randn(4, 3, 2, 2), torch.rand(4, 1, 16, 16)
    torch.testing.assert_close(net.decode(latents, lines, 4), net.decode(latents, lines, 1))
    assert net.encode(torch.rand(1, 3, 16, 16)).logvar.max() < -4


def test_untrained_it_gives_the_blurred_picture() -> None:
    net = LineVAE()
    torch.nn.init.zeros_(net.encoder[-1].weight)
    rgb = torch.rand(1, 3, 16, 24) * 2 - 1
    blurred = torch.nn.functional.avg_pool2d(rgb, 8)
    latents = net.encode(rgb).mode()
    torch.testing.assert_close(latents[:, :3], blurred)
    expected = torch.nn.functional.interpolate(blurred, scale_factor=8, mode="bilinear")
    torch.testing.assert_close(net.decode(latents, torch.rand(1, 1, 16, 24)), expected)


def test_divergence_is_that_of_torch() -> None:
    latents = Latents(torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4))
    normal = torch.distributions.Normal(latents.mean, (0.5 * latents.logvar).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(latents.kl(), expected)
    g = torch.Generator()
    assert torch.equal(latents.sample(g.manual_seed(3)), latents.sample(g.manual_seed(3)))


def test_checkpointing_changes_no_gradient() -> None:
    torch.manual_seed(0)
    net = LineVAE(TOY)
    latents, lines = torch.randn(2, 3, 2, 2), torch.rand(2, 1, 16, 16)
    found = []
    for on in (False, True):
        net.gradient_checkpointing = on
        net.zero_grad()
        net.decode(latents, lines, 2).square().mean().backward()
        found.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_wrong_sizes_are_refused() -> None:
    net = LineVAE(TOY)
    with pytest.raises(ValueError, match="multiples of 8"):
        net.encode(torch.rand(1, 3, 12, 16))
    with pytest.raises(ValueError, match="wanted lines of 16x16"):
        net.decode(torch.rand(1, 3, 2, 2), torch.rand(1, 1, 8, 16))
    with pytest.raises(ValueError, match="whole clips"):
        net.decode(torch.rand(3, 3, 2, 2), torch.rand(3, 1, 16, 16), 2)
    with pytest.raises(ValueError, match="four numbers"):
        LineVAEConfig(widths=(1, 2, 3))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 latent channels"):
        LineVAEConfig(latent_channels=0)


def test_weights_come_back(tmp_path) -> None:
    net = stirred()
    write_network(tmp_path, net.config.to_dict(), net.state_dict())
    config = LineVAEConfig.from_dict(read_config(tmp_path))
    assert config == TOY
    other = load_network(LineVAE(config), read_tensors(tmp_path), source=tmp_path)
    rgb = torch.rand(1, 3, 16, 16)
    assert torch.equal(other.encode(rgb).mean, net.encode(rgb).mean)
    with pytest.raises(WeightsError, match="of another shape"):
        load_network(LineVAE(LineVAEConfig(widths=(4, 6, 8, 12), blocks=1)), read_tensors(tmp_path), source="x")
