from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from cd2_modes import MODES, OfficialMode
from cd2_numbers import HERE, Numbers, as_mask, as_rgb, official_weights, posterior_noise
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from celpaint.methods.colorize_diffusion.convert import clip_part, official_parts
from celpaint.methods.colorize_diffusion.networks import Networks, build_part
from celpaint.methods.colorize_diffusion.pictures import Pictures, fit_sketch
from celpaint.methods.colorize_diffusion.semantics import Official
from celpaint.models.colorize_diffusion.image_encoder import ClipTokens
from celpaint.models.colorize_diffusion.vae import ImageVAE
from celpaint.weights.store import load_network

SIZE = (128, 192)


@pytest.fixture(scope="session")
def inputs() -> dict[str, Tensor]:
    return load_file(HERE / "inputs.safetensors")


@pytest.fixture(scope="session")
def weights() -> dict[str, Tensor]:
    return official_weights()


@pytest.fixture(scope="session")
def networks(weights: dict[str, Tensor]) -> Networks:
    """The toy networks, converted from official names."""
    parts = official_parts(weights, source="rule", say=pytest.fail)
    tower = clip_part(weights, source="rule")
    assert tower is not None
    loaded = {
        name: load_network(build_part(name, part.config, source="rule"), part.tensors, source="rule")
        for name, part in parts.items()
    }
    # No shape tells the number of heads: the toy tower has 4, a real one heads of width 80.
    clip = CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict({**tower.config, "num_attention_heads": 4}))
    vae = loaded.pop("vae")
    assert isinstance(vae, AutoencoderKL)
    return Networks(
        **loaded,
        vae=ImageVAE(vae),
        image_encoder=ClipTokens(load_network(clip, tower.tensors, source="rule")),
    )


@pytest.fixture(scope="session")
def official(inputs: dict[str, Tensor]) -> Official:
    return Official(partial(posterior_noise, inputs))


@pytest.fixture(scope="session")
def pictures(inputs: dict[str, Tensor]) -> Pictures:
    """All pictures but the background's."""
    lines = 1 - as_mask(inputs["sketch_u8"][..., 0])
    return Pictures(
        size=SIZE,
        sketch=fit_sketch(lines, SIZE),
        figure=as_mask(inputs["smask_u8"]),
        reference=as_rgb(inputs["reference_u8"]),
        reference_mask=as_mask(inputs["rmask_u8"]),
    )


@pytest.fixture(scope="session")
def modes(
    networks: Networks, pictures: Pictures, official: Official, inputs: dict[str, Tensor]
) -> dict[str, OfficialMode]:
    """Every recorded mode with its conditions."""
    with_background = replace(pictures, background=as_rgb(inputs["background_u8"]))
    return {
        name: OfficialMode.make(
            networks, with_background if setting.background_picture else pictures, setting, official
        )
        for name, setting in MODES.items()
    }


@pytest.fixture(scope="session")
def encoders() -> Numbers:
    return Numbers("encoders")


@pytest.fixture(scope="session")
def unet() -> Numbers:
    return Numbers("unet")


@pytest.fixture(scope="session")
def sampling() -> Numbers:
    return Numbers("sampling")
