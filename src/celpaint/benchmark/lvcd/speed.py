"""Seconds and memory of LVCD with random weights: a window of 1 + 4 + 14 positions, as in long shots.

The method itself is run, from line art to pictures. Its first segment, which warms up, is left out. Times are medians
over steps; the device is synchronized before the clock is read. Processor seconds stand beside wall-clock seconds, for
machines that do other work too.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from celpaint.benchmark.provenance import processor
from celpaint.benchmark.tables import markdown_table
from celpaint.device import resolve_device, resolve_dtype
from celpaint.methods.lvcd.run import CHUNKING, LVCD
from celpaint.methods.lvcd.spec import LVCDOptions
from celpaint.methods.lvcd.weights import Card, Networks
from celpaint.models.image_encoder import ClipEmbedding, LatentEmbedding
from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.models.lvcd.controlnet import SMALL_CONTROL, ControlNet, ControlNetConfig
from celpaint.models.lvcd.unet import SMALL, SVD, UNet, UNetConfig
from celpaint.models.vae import LineCodec, VideoVAE
from celpaint.sampling.segments import plan_segments
from celpaint.types import Array, Event, Reference, Shot

M = TypeVar("M", bound=nn.Module)

TINY = UNetConfig(
    down_block_types=("DownBlockSpatioTemporal", "CrossAttnDownBlockSpatioTemporal"),
    block_out_channels=(32, 32),
    layers_per_block=1,
    num_attention_heads=(2, 2),
    cross_attention_dim=16,
    addition_time_embed_dim=8,
    projection_class_embeddings_input_dim=24,
)
"""The smallest that runs, to test this module."""


def svd_vae() -> VideoVAE:
    """Stable Video Diffusion's autoencoder."""
    return VideoVAE(
        AutoencoderKLTemporalDecoder(
            down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=(128, 256, 512, 512), layers_per_block=2
        )
    )


def vit_h() -> ClipEmbedding:
    """OpenCLIP's ViT-H/14."""
    config = CLIPVisionConfig(
        hidden_size=1280,
        intermediate_size=5120,
        num_hidden_layers=32,
        num_attention_heads=16,
        patch_size=14,
        image_size=224,
        projection_dim=1024,
        hidden_act="gelu",
    )
    return ClipEmbedding(CLIPVisionModelWithProjection(config))


@dataclass(frozen=True)
class Sizes:
    """Everything that has weights, and the number of channels of a latent."""

    unet: UNetConfig
    control: ControlNetConfig
    codec: Callable[[], VideoVAE | LineCodec]
    embed: Callable[[], ClipEmbedding | LatentEmbedding]


CONFIGS = {
    "full": Sizes(SVD, ControlNetConfig(), svd_vae, vit_h),
    "small": Sizes(SMALL, SMALL_CONTROL, lambda: LineCodec(LineVAE(LineVAEConfig())), partial(LatentEmbedding, 8, 128)),
    "tiny": Sizes(
        TINY,
        ControlNetConfig(**{f: getattr(TINY, f) for f in TINY.__dataclass_fields__}),
        lambda: LineCodec(LineVAE(LineVAEConfig(latent_channels=4, widths=(8, 8, 16, 16), blocks=1))),
        partial(LatentEmbedding, 4, 16),
    ),
}


@torch.no_grad()
def random_weights(network: M, device: torch.device, dtype: torch.dtype) -> M:
    """Weights that keep activations in range; networks made on the meta device are given memory here."""
    if any(p.is_meta for p in network.parameters()):
        network = network.to_empty(device=device)
        for buffer in network.buffers():  # memory as it was found may hold anything
            buffer.fill_(0.5)
    network = network.to(device, dtype)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=parameter[0].numel() ** -0.5)
        else:
            parameter.fill_(0.5)
    return network.eval().requires_grad_(False)


def build(sizes: Sizes, device: torch.device, dtype: torch.dtype, card: Card) -> Networks:
    """All networks, on the device they live on."""
    with torch.device("meta"):
        unet, control, codec = UNet(sizes.unet), ControlNet(sizes.control), sizes.codec()
    embed = sizes.embed()  # has buffers: not from meta
    pixels = torch.float16 if dtype == torch.bfloat16 and device.type == "cuda" else dtype
    return Networks(
        random_weights(unet, device, dtype),
        random_weights(control, device, dtype),
        random_weights(codec, device, pixels),
        random_weights(embed, device, dtype),
        card,
    )


def arithmetic(sizes: Sizes, size: tuple[int, int], overlap: int) -> dict[str, float]:
    """TFLOP of a step and of a call of the decoder; millions of parameters. A multiplication and addition is two FLOP.

    Args:
        size: (height, width) in pixels.
    """
    segment = plan_segments(15 + overlap, overlap=overlap)[1]
    length = len(segment.routing)
    with torch.device("meta"):
        unet, control, embed = UNet(sizes.unet), ControlNet(sizes.control), sizes.embed()
        codec = sizes.codec().to("meta")  # diffusers makes a few parameters elsewhere
        height, width = size
        latents = (-(-height // codec.factor), -(-width // codec.factor))
        x = torch.empty(1, length, sizes.unet.in_channels, *latents)
        micro = sizes.unet.projection_class_embeddings_input_dim // sizes.unet.addition_time_embed_dim
        given = (x, torch.empty(1), torch.empty(1, 1, sizes.unet.cross_attention_dim), torch.empty(1, micro))
        frames = CHUNKING[type(codec)].size
        coded = torch.empty(frames, codec.channels, *latents)
        lines = torch.empty(frames, 1, latents[0] * codec.factor, latents[1] * codec.factor)
        hint = control.hint(torch.empty(1, length, 1, *lines.shape[-2:]))

    def count(call: Callable[[], Any]) -> float:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            call()
        return float(counter.get_total_flops()) / 1e12

    sides: list[Tensor] = []
    return {
        "controlnet": count(lambda: sides.extend(control(*given, segment.routing, hint))),
        "unet": count(lambda: unet(*given, segment.routing, sides)),
        "decoder_call": count(lambda: codec.decode(coded, lines, frames)),
        "million_parameters": sum(p.numel() for n in (unet, control, codec, embed) for p in n.parameters()) / 1e6,
    }


def shot(frames: int, size: tuple[int, int]) -> Shot:
    """A slanted line that moves, its first frame painted."""
    y, x = np.mgrid[: size[0], : size[1]]
    lines: list[Array] = [np.clip(1.5 - np.abs(y - 0.5 * x - 2 * i), 0, 1).astype(np.float32) for i in range(frames)]
    painting = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
    return Shot(lines, (Reference(painting, lines[0], 0),), size)


def lvcd_speed(name: str, options: LVCDOptions, segments: int) -> dict[str, Any]:
    """Color a shot of ``segments`` segments (2 or more) with random weights.

    Args:
        name: of :data:`CONFIGS`.
        options: how the method is run; ``steps`` is 2 or more.
        segments: the first is not counted.
    """
    sizes, size = CONFIGS[name], options.size or (320, 576)
    device = resolve_device(options.device)
    dtype = resolve_dtype(options.dtype, device)
    home = torch.device("cpu") if options.offload else device
    micro = sizes.unet.projection_class_embeddings_input_dim // sizes.unet.addition_time_embed_dim
    networks = build(sizes, home, dtype, Card(micro=(6.0, 160.0, 0.0)[:micro]))
    if options.compile:
        networks.unet.compile()
        networks.controlnet.compile()
    method = LVCD(networks, options, device, dtype)
    steps = len(method.sigmas) - 1
    clock: list[float] = []
    worked: list[float] = []

    def callback(event: Event, /) -> None:
        if event.stage == "step":
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            clock.append(time.perf_counter())
            worked.append(time.process_time())

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ends, counts, busy = [], [], []
    new = 14 - options.overlap
    for chunk in method.color(shot(1 + 14 + new * (segments - 1), size), progress=callback):
        ends.append(time.perf_counter())
        busy.append(time.process_time())
        counts.append(len(chunk.painted))

    def median(times: list[float]) -> float:
        """Of a step, without those of the first segment and those that come after decoding."""
        return statistics.median(
            b - a for n in range(1, segments) for a, b in pairwise(times[n * steps : (n + 1) * steps])
        )

    step = median(clock)
    counted = arithmetic(sizes, size, options.overlap)
    if device.type == "cuda":
        peak, machine = torch.cuda.max_memory_allocated(device) / 1e9, torch.cuda.get_device_name(device)
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        machine = f"{processor()}, {torch.get_num_threads()} threads"
    return {
        "config": name,
        "machine": machine,
        "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "dtype": str(dtype).removeprefix("torch."),
        "offload": options.offload,
        "compile": options.compile,
        "size": list(size),
        "positions": 1 + options.overlap + 14,
        "steps": steps,
        "million_parameters": round(counted["million_parameters"], 2),
        "seconds_a_step": step,
        "processor_seconds_a_step": median(worked),
        "seconds_a_new_frame": (ends[-1] - ends[0]) / sum(counts[1:]),
        "processor_seconds_a_new_frame": (busy[-1] - busy[0]) / sum(counts[1:]),
        "tflop_a_step": counted["unet"] + counted["controlnet"],
        "tflop_a_decoder_call": counted["decoder_call"],
        "tflops": (counted["unet"] + counted["controlnet"]) / step,
        "peak_gb": peak,
        "memory_is": "allocated on the GPU" if device.type == "cuda" else "resident, of the whole process",
    }


def speed_table(found: Sequence[dict[str, Any]]) -> str:
    """Markdown, a row for each result of :func:`lvcd_speed`."""
    rows = []
    for one in found:
        chosen = " ".join(name for name in ("offload", "compile") if one[name]) or "none"
        height, width = one["size"]
        words = [one["config"], one["machine"], one["dtype"], chosen, f"{width}x{height}", str(one["steps"])]
        numbers = [one[key] for key in ("seconds_a_step", "seconds_a_new_frame", "tflop_a_step", "tflops")]
        rows.append([*words, *(f"{value:.3g}" for value in numbers), f"{one['peak_gb']:.2f}"])
    head = ["config", "machine", "format", "options", "size", "steps"]
    return markdown_table([*head, "s a step", "s a new frame", "TFLOP a step", "TFLOP/s", "GB"], rows, left=5)
