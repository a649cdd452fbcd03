"""Pictures, embeddings, latents and hints, against numbers of the official program."""

from __future__ import annotations

import pytest
import torch
from cd2_modes import OfficialMode
from cd2_numbers import Numbers, as_rgb
from torch import Tensor

from celpaint.methods.colorize_diffusion.networks import Networks
from celpaint.methods.colorize_diffusion.pictures import Pictures, fit_picture, latent_mask, without_figure
from celpaint.models.colorize_diffusion.encoders import size_label

SHOWN = {"ref": "eps_ref", "masked": "eps_bg", "background": "eps_bg"}


@pytest.fixture(scope="module")
def shown(pictures: Pictures, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The pictures that are encoded."""
    reference = pictures.reference
    assert reference is not None
    assert pictures.reference_mask is not None
    return {
        "ref": reference,
        "masked": without_figure(reference, pictures.reference_mask, 0.5),
        "background": as_rgb(inputs["background_u8"]),
    }


def test_sketch_agrees(pictures: Pictures, inputs: dict[str, Tensor]) -> None:
    assert pictures.sketch is not None
    torch.testing.assert_close(pictures.sketch, inputs["sketch"].expand(-1, 3, -1, -1), atol=1e-6, rtol=0)


def test_figure_mask_agrees_at_every_level(
    pictures: Pictures, inputs: dict[str, Tensor], unet: Numbers, modes: dict[str, OfficialMode]
) -> None:
    assert pictures.figure is not None
    torch.testing.assert_close(latent_mask(pictures.figure, 8), inputs["smask_latent"], atol=1e-6, rtol=0)
    injected = modes["bg"].conditions.injected
    assert injected is not None
    for level, size in zip(injected.figure.levels, ("16x24", "8x12", "4x6", "2x3"), strict=True):
        assert torch.equal(level, unet[f"mask_attn.{size}"] > 0.05)
        assert torch.equal(level, unet[f"mask_inject.{size}"] > 0.05)


@pytest.mark.parametrize("name", SHOWN)
def test_resized_pictures_agree(shown: dict[str, Tensor], encoders: Numbers, name: str) -> None:
    encoders.check(f"resized_{name}_s4", fit_picture(shown[name], (128, 192))[:, :, ::4, ::4], atol=1e-5)


@pytest.mark.parametrize("name", SHOWN)
@torch.inference_mode()
def test_latents_agree(
    networks: Networks, shown: dict[str, Tensor], inputs: dict[str, Tensor], encoders: Numbers, name: str
) -> None:
    rgb = fit_picture(shown[name], (128, 192))
    encoders.check(f"moments_{name}", networks.vae.moments(rgb), atol=3e-4)
    encoders.check(f"z_{name}", networks.vae.encode(rgb, inputs[SHOWN[name]]), atol=3e-4)


@torch.inference_mode()
def test_image_tower_agrees(networks: Networks, shown: dict[str, Tensor], encoders: Numbers) -> None:
    tower = networks.image_encoder
    pixels = tower.pixels(shown["ref"])
    encoders.check("clip.pixel_values", pixels, atol=1e-5)
    seen: dict[str, Tensor] = {}
    vision = tower.model.vision_model
    watched = {
        "after_ln_pre": vision.pre_layrnorm,
        "block.0": vision.encoder.layers[0],
        "block.1": vision.encoder.layers[1],
    }
    hooks = [
        module.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out))
        for name, module in watched.items()
    ]
    tokens = tower.embed(pixels)
    for hook in hooks:
        hook.remove()
    for name in watched:
        out = seen[name]
        encoders.check(f"clip.{name}", out if isinstance(out, Tensor) else out[0], atol=3e-4)
    encoders.check("emb_ref", tokens, atol=3e-4)
    encoders.check("emb_cls", tokens[:, :1], atol=3e-4)


@pytest.mark.parametrize("name", ["masked", "background"])
@torch.inference_mode()
def test_reference_tokens_agree(networks: Networks, shown: dict[str, Tensor], encoders: Numbers, name: str) -> None:
    encoders.check(f"emb_{name}", networks.image_encoder(shown[name]), atol=3e-4)


def test_size_labels_agree(encoders: Numbers) -> None:
    encoders.check("size_emb_ref", size_label((150, 110), (128, 192), 256), atol=1e-5)
    encoders.check("size_emb_background", size_label((136, 200), (128, 192), 256), atol=1e-5)


def test_sketch_hints_agree(modes: dict[str, OfficialMode], encoders: Numbers) -> None:
    mode = modes["vanilla"]
    assert len(mode.conditions.hints) == 5
    for i, (hint, blank) in enumerate(zip(mode.conditions.hints, mode.blank, strict=True)):
        encoders.check(f"sketch_hint.{i}", hint, atol=3e-4)
        encoders.check(f"blank_hint.{i}", blank, atol=3e-4)
