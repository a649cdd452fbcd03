"""Whole shots, against numbers of the official sampler and decoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from celpaint.methods.lvcd.run import CHUNKING, LVCD, Denoiser
from celpaint.methods.lvcd.spec import LVCDOptions
from celpaint.methods.lvcd.weights import Networks
from celpaint.models.vae import VideoVAE
from celpaint.sampling.decode import ChunkedDecoder
from celpaint.sampling.segments import Segment, plan_segments
from celpaint.sampling.sequence import Carry, Window, sample_segments
from celpaint.sampling.sigmas import edm_sigmas
from celpaint.types import Reference, Shot

Numbers = dict[str, Tensor]
SCALE = 0.18215


def close(seen: Tensor, wanted: Tensor, atol: float = 1e-4) -> None:
    torch.testing.assert_close(seen, wanted, atol=atol, rtol=0)


@torch.inference_mode()
def sample(
    networks: Networks, sampling: Numbers, sketches: int, steps: int, *, amplify: float, routed: int, segments: int
) -> tuple[Tensor, Numbers]:
    """The official run's latents, the reference's in front, and all that happened on the way."""
    plan = plan_segments(sketches - 1, faithful=True, amplify=amplify)
    sigmas = edm_sigmas(steps)
    reference, first = networks.codec.encode(sampling["ref_image"]), sampling["first_cond"]
    seen: Numbers = {}

    def window(segment: Segment, carry: Carry | None) -> Window:
        name = f"seg{carry.done if carry else 0}"
        shown = (0,) * len(segment.references) + tuple(i + 1 for i in segment.previous + segment.frames)
        concat = reference.expand(19, -1, -1, -1)
        if carry:
            concat = torch.cat([first, carry.latents / SCALE, first.expand(14, -1, -1, -1)])
        denoise = Denoiser(
            networks.unet,
            networks.controlnet,
            concat=concat,
            hint=networks.controlnet.hint(sampling["sketches"][list(shown)][None]),
            context=sampling["crossattn"],
            micro=torch.tensor([[6.0, 160.0, 0.0]]),
            routing=segment.routing,
            late=segment.late,
            until=sigmas[routed - 1] if routed else float("inf"),
        )
        seen[f"{name}.frame_ind"] = torch.tensor(shown, dtype=torch.int32)
        seen[f"{name}.concat"] = concat
        seen[f"{name}.x_T"] = sampling["x_T"][list(segment.noise)]

        def watched(x: Tensor, sigma: float, /) -> Tensor:
            step = sigmas.index(sigma)
            seen[f"{name}.xt.{step:02d}"] = x
            seen[f"{name}.denoised.{step:02d}"] = out = denoise(x, sigma)
            return out

        return Window(watched)

    latents = [first * SCALE]
    for new, carry in sample_segments(plan, sampling["x_T"], sigmas, window, overlap=4, blended=25):
        latents.append(new)
        if carry.done == segments:
            break
    return torch.cat(latents), seen


def test_conditions_agree(networks: Networks, sampling: Numbers) -> None:
    image = sampling["ref_image"]
    with torch.inference_mode():
        close(networks.codec.encode(image), sampling["cond_concat"])
        close(networks.codec.vae.quant_conv(networks.codec.vae.encoder(image)), sampling["cond_moments"])
        close(networks.codec.first_stage(image), sampling["vae_moments"])
        close(networks.codec.sample(image, sampling["posterior_eps"]), sampling["first_cond"])


def test_noise_is_drawn_as_officially(sampling: Numbers) -> None:
    random = torch.Generator().manual_seed(1234)
    assert torch.equal(torch.randn(19, 4, 8, 16, generator=random), sampling["x_T"])
    assert torch.equal(torch.randn(1, 4, 8, 16, generator=random), sampling["posterior_eps"])


@pytest.mark.parametrize(("steps", "name"), [(25, "sigmas"), (4, "sigmas4")])
def test_noise_levels_agree(sampling: Numbers, steps: int, name: str) -> None:
    torch.testing.assert_close(torch.tensor(edm_sigmas(steps)), sampling[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("variant", "amplify", "routed"), [("quick", 10.0, 4), ("quick_late", 10.0, 2), ("quick_normal", 1.0, 0)]
)
def test_quick_runs_agree(networks: Networks, sampling: Numbers, variant: str, amplify: float, routed: int) -> None:
    latents, _ = sample(networks, sampling, 25, 4, amplify=amplify, routed=routed, segments=2)
    close(latents, sampling[f"{variant}.latents"])


@pytest.mark.slow
def test_three_segments_agree(networks: Networks, sampling: Numbers) -> None:
    latents, seen = sample(networks, sampling, 37, 25, amplify=10.0, routed=25, segments=3)
    close(latents, sampling["latents"])
    compared = seen.keys() & sampling.keys()
    assert len(compared) == 3 * 9
    for name in compared:
        close(seen[name], sampling[name])


def test_decoding_agrees(networks: Networks, sampling: Numbers, decoding: Numbers) -> None:
    latents = sampling["latents"][:25]
    codec = networks.codec
    decoder = ChunkedDecoder(lambda z, places: codec.decode(z / SCALE, z, len(z)), 25, CHUNKING[VideoVAE], latents[0])
    frames: Numbers = {}
    with torch.inference_mode():
        for start in range(1, 25, 7):
            frames |= dict(decoder.push(latents[start : min(start + 7, 25)]))
    assert list(frames) == list(range(25))
    raw = torch.stack([frames[place] for place in (0, 1, 5, 9)])
    close(raw, decoding["raw_first_10"])
    for place, wanted in zip(decoding["places"].tolist(), decoding["frames"], strict=True):
        close(frames[place].clamp(-1, 1), wanted)


def test_faithful_option_gives_the_official_frames(networks: Networks, sampling: Numbers) -> None:
    """The method itself, from line art to pictures."""
    options = LVCDOptions(match_official=True, steps=4, seed=1234, size=(64, 128), dtype="float32", device="cpu")
    rgb = ((sampling["ref_image"][0] + 1) / 2).permute(1, 2, 0).numpy()
    lines = [sketch[0].numpy() for sketch in sampling["sketches"][:25]]
    shot = Shot(lines, (Reference(rgb, lines[0], 0),), (64, 128))
    method = LVCD(networks, options, torch.device("cpu"), torch.float32)
    painted = [frame.rgb for chunk in method.color(shot) for frame in chunk.painted]

    latents = sampling["quick.latents"]
    codec = networks.codec
    decoder = ChunkedDecoder(lambda z, places: codec.decode(z / SCALE, z, len(z)), 25, CHUNKING[VideoVAE], latents[0])
    with torch.inference_mode():
        wanted = [((frame + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy() for _, frame in decoder.push(latents[1:])]
    assert len(painted) == 25
    np.testing.assert_allclose(np.stack(painted), np.stack(wanted), atol=1e-4)
