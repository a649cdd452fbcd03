"""The temporal refinement network of Shi et al. 2023, at toy size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from celpaint.errors import OptionError
from celpaint.models.shi2023.config import RefinementConfig
from celpaint.models.shi2023.layers import plain_tensors
from celpaint.models.shi2023.refinement import TemporalRefinement, in_time_order

TOY = RefinementConfig(widths=(4, 8, 8), dilations=(2, 4))
CORRECTING = RefinementConfig(widths=(4, 8, 8), dilations=(2, 4), output="correction")


def toy(config: RefinementConfig = TOY) -> TemporalRefinement:
    torch.manual_seed(0)
    return TemporalRefinement(config)


def frames(count: int, height: int = 32, width: int = 48, clips: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    lines = (torch.rand(clips, count, 1, height, width, generator=generator) > 0.8).float()
    return lines, torch.rand(clips, count, 3, height, width, generator=generator)


def close(a: Tensor, b: Tensor, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("config", [TOY, CORRECTING])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_every_frame_comes_back_in_range(config: RefinementConfig, count: int) -> None:
    lines, rgb = frames(count, clips=2)
    refined = toy(config)(lines, rgb)
    assert refined.shape == rgb.shape
    assert 0 <= float(refined.detach().min()) < float(refined.detach().max()) <= 1


@settings(max_examples=10)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_any_size_is_the_padded_sequence_cropped(height: int, width: int) -> None:
    network, sequence = toy(), frames(3, height, width)
    lines, rgb = (F.pad(x[0], (0, -width % 8, 0, -height % 8), mode="replicate")[None] for x in sequence)
    close(network(*sequence), network(lines, rgb)[..., :height, :width])


def test_clips_of_a_batch_do_not_meet() -> None:
    network, (lines, rgb) = toy(), frames(3, clips=2)
    close(network(lines, rgb)[1:], network(lines[1:], rgb[1:]))


def test_a_frame_sees_both_its_neighbors_and_the_whole_window() -> None:
    network, (lines, rgb) = toy(), frames(6)
    before = network(lines, rgb)
    for changed in (0, 5):
        other = rgb.clone()
        other[:, changed] = 1 - other[:, changed]
        moved = (network(lines, other) - before).abs().amax((0, 2, 3, 4))
        assert (moved > 0).all()
        assert moved[changed] == moved.max()


def test_a_correction_starts_near_zero() -> None:
    lines, rgb = frames(4)
    difference = (toy(CORRECTING)(lines, rgb) - rgb).abs().detach()
    assert 0 < float(difference.mean()) < 0.02


def test_gradients_reach_every_parameter() -> None:
    for config in (TOY, CORRECTING):
        network = toy(config)
        network.add_spectral_norm()
        network(*frames(4)).square().sum().backward()
        silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 1e-7]
        assert not silent


def test_spectral_norm_is_on_every_convolution_and_leaves_plain_weights() -> None:
    network = toy()
    network.add_spectral_norm()
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 2 * (3 + 2 + 3)
    assert all(nn.utils.parametrize.is_parametrized(m) for m in convs)
    network.eval()
    plain = toy()
    plain.load_state_dict(plain_tensors(network.state_dict()))
    close(plain(*frames(3)), network(*frames(3)))


def test_references_stand_first_and_last_in_time() -> None:
    drawings, references = frames(3)[1], frames(2)[1]
    sequence = in_time_order(drawings, references)
    assert torch.equal(sequence, torch.cat([references[:, :1], drawings, references[:, 1:]], 1))
    single = in_time_order(drawings, references[:, :1])
    assert torch.equal(single[:, 0], single[:, -1])
    assert single.shape[1] == 5


@pytest.mark.parametrize(("field", "value"), [("widths", (4, 4)), ("dilations", (0,)), ("output", "both")])
def test_sizes_that_make_no_network_are_errors(field: str, value: object) -> None:
    with pytest.raises(OptionError, match=field):
        RefinementConfig(**{field: value})  # type: ignore[arg-type]
