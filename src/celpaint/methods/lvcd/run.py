"""LVCD: reference-based line-art video coloring with diffusion (Huang et al., SIGGRAPH Asia 2024).

A window of video latents is denoised by Stable Video Diffusion's UNet, told the line art by a ControlNet and the
colors by attention to the painted reference; a long shot is made in overlapping windows (sections 4.1 and 4.2).

Painted frames are known: they come out as they were painted, and while sampling their latents stand in the answer, so
that their neighbors agree with them. With several references every frame looks at the one nearest in time, and at
those that belong to no frame.

Weights may have been trained to refine a draft instead of coloring by themselves: their latents are what the draft
lacks, as in corrective diffusion (Mardani et al., "Residual Corrective Diffusion Modeling", 2023), and the draft's
latents are the frames' condition, where the paper has the reference's. What they changed is added to the draft's own
pixels, as far as the draft is unsure of them, so that nothing is lost where nothing is to mend. All else is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from celpaint.device import resolve_device, resolve_dtype
from celpaint.errors import OptionError
from celpaint.frames.cache import Spill
from celpaint.frames.resize import resize_tensor
from celpaint.methods.base import Method
from celpaint.methods.lvcd.spec import SPEC, LVCDOptions
from celpaint.methods.lvcd.weights import Networks
from celpaint.methods.registry import load_method
from celpaint.models.attention import Routing
from celpaint.models.image_encoder import ClipEmbedding
from celpaint.models.lvcd.controlnet import ControlNet
from celpaint.models.lvcd.unet import UNet
from celpaint.models.vae import LineCodec, VideoVAE
from celpaint.sampling.decode import ChunkedDecoder, Chunking
from celpaint.sampling.guidance import guided
from celpaint.sampling.segments import WINDOW, Segment, noise_rows, plan_segments
from celpaint.sampling.sequence import Carry, Window, sample_segments
from celpaint.sampling.sigmas import edm_sigmas, v_scaling
from celpaint.sampling.solvers import SOLVERS, Denoise
from celpaint.types import (
    Array,
    Chunk,
    ColorizedFrame,
    DrawingColored,
    Progress,
    SegmentStarted,
    Shot,
    State,
    StepDone,
    silent,
)

__all__ = ["LVCD", "Denoiser", "Fit"]

OFFICIAL_BLENDED = 25
"""Steps with Overlapped Blending in the official implementation, whatever the number of steps."""

CHUNKING: dict[type[nn.Module], Chunking] = {
    VideoVAE: Chunking(size=10, overlap=3, lead=True),  # as the official implementation
    LineCodec: Chunking(size=6, overlap=1, lead=False),  # 2 GB at 576x320; it depends little on neighbors
}
"""How latents are decoded."""

KEPT_LINES = 3 * WINDOW
"""Line maps kept in memory."""


@dataclass(frozen=True)
class Fit:
    """How a shot is brought to the networks' size: resized, then filled up to whole latents.

    Attributes:
        size: (height, width) of the shot.
        work: (height, width) it is resized to.
        factor: pixels a latent.
    """

    size: tuple[int, int]
    work: tuple[int, int]
    factor: int

    @classmethod
    def choose(cls, size: tuple[int, int], options: LVCDOptions, area: int, factor: int) -> Fit:
        """``options.size`` as it is; else about ``area`` pixels in the shot's aspect."""
        if options.size is not None:
            return cls(size, options.size, factor)
        scale = (area / (size[0] * size[1])) ** 0.5
        height, width = (max(4 * factor, round(side * scale)) for side in size)
        return cls(size, (height, width), factor)

    @property
    def latents(self) -> tuple[int, int]:
        """(height, width) of the latents."""
        height, width = (-(-side // self.factor) for side in self.work)
        return height, width

    def enter(self, picture: Array, fill: str) -> Tensor:
        """``H W`` or ``H W C`` at the shot's size -> ``1 C h w`` float32 on the CPU.

        Args:
            picture: lines or RGB.
            fill: ``constant`` puts paper around, ``replicate`` goes on with the border.
        """
        x = torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32))
        x = (x[None] if x.ndim == 2 else x.permute(2, 0, 1))[None]
        x = resize_tensor(x, self.work, "cubic")
        height, width = (side * self.factor for side in self.latents)
        return F.pad(x, (0, width - self.work[1], 0, height - self.work[0]), mode=fill)

    def leave(self, rgb: Tensor) -> Array:
        """``3 h w`` in [-1, 1] -> ``h w 3`` in [0, 1] at the working size: a segment at 4K would be gigabytes."""
        x = rgb.float().cpu()[:, : self.work[0], : self.work[1]]
        return np.ascontiguousarray(((x + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy())


class Denoiser:
    """UNet and ControlNet under given conditions, as ``denoise(x, sigma)``.

    Latents stay float32 outside the networks, which are run in their own number format.

    Args:
        unet, controlnet: the networks.
        concat: condition latents ``T C h w``, beside the noisy ones.
        hint: ``(T) C h w`` from :meth:`ControlNet.hint`.
        context: ``1 1 D``.
        micro: ``1 M``.
        routing: who attends to whom, at noise levels of ``until`` and above; below, ``late``.
        center: what the networks' latents are the difference to: a draft ``T C h w``, for networks that refine it.
        spread: standard deviation of the difference.
    """

    def __init__(
        self,
        unet: UNet,
        controlnet: ControlNet,
        *,
        concat: Tensor,
        hint: Tensor,
        context: Tensor,
        micro: Tensor,
        routing: Routing,
        late: Routing,
        until: float = 0.0,
        center: Tensor | float = 0.0,
        spread: float = 1.0,
    ) -> None:
        self.unet, self.controlnet = unet, controlnet
        self.concat, self.hint, self.context, self.micro = concat, hint, context, micro
        self.routing, self.late, self.until = routing, late, until
        self.center, self.spread = center, spread

    def __call__(self, x: Tensor, sigma: float, /) -> Tensor:
        """``T C h w`` -> ``T C h w``."""
        scaling = v_scaling(sigma / self.spread)
        x = (x - self.center) / self.spread
        routing = self.routing if sigma >= self.until else self.late
        both = torch.cat([x * scaling.inner, self.concat], dim=1)[None].to(self.unet.dtype)
        noise = torch.full((1,), scaling.noise, device=x.device)
        control = self.controlnet(both, noise, self.context, self.micro, routing, self.hint)
        out = self.unet(both, noise, self.context, self.micro, routing, control).sample[0]
        return self.center + self.spread * (x * scaling.skip + cast("Tensor", out).float() * scaling.out)

    def blind(self) -> Denoiser:
        """The same without the reference's latents and token, as Stable Video Diffusion leaves out its conditions."""
        return Denoiser(
            self.unet,
            self.controlnet,
            concat=torch.zeros_like(self.concat),
            hint=self.hint,
            context=torch.zeros_like(self.context),
            micro=self.micro,
            routing=self.routing,
            late=self.late,
            until=self.until,
            center=self.center,
            spread=self.spread,
        )


@dataclass(frozen=True)
class Conditions:
    """What is worked out once a shot.

    Attributes:
        latents: ``R C h w`` of the references, not scaled.
        context: ``R 1 D``, their tokens.
        lines: ``R 1 H W``, their line maps at the networks' size.
        drawn: ``1 C h w``, the latents the official sampler gives every frame after the first segment and puts in
            front of its result, not scaled: a random draw where ``latents`` is the most likely value. None: not
            wanted.
    """

    latents: Tensor
    context: Tensor
    lines: Tensor
    drawn: Tensor | None


class LVCD(Method):
    """The LVCD method.

    Args:
        networks: their weights loaded, on ``device`` in ``dtype`` (with ``options.offload``: on the CPU).
        options: of the method.
        device, dtype: where and in which format the networks are run.
        drafter: whose result sampling starts from; None: from noise.
    """

    def __init__(
        self,
        networks: Networks,
        options: LVCDOptions,
        device: torch.device,
        dtype: torch.dtype,
        drafter: Method | None = None,
    ) -> None:
        self.networks, self.options, self.device, self.dtype = networks, options, device, dtype
        self.drafter = drafter
        card = networks.card
        highest = card.sigma_max
        if drafter is not None:
            highest = min(highest, options.draft_sigma or card.draft_sigma)
        self.sigmas = edm_sigmas(1 if options.preview else options.steps or card.steps, sigma_max=highest)
        routed = round(options.prev_reference_ratio * (len(self.sigmas) - 1))
        self.until = self.sigmas[routed - 1] if routed else float("inf")

    @classmethod
    def load(cls, options: LVCDOptions) -> LVCD:
        """Find the weights and build the networks.

        Raises:
            WeightsError: missing, broken or of another network.
            DeviceError: no such device.
        """
        device = resolve_device(options.device)
        exactly = options.match_official and options.dtype == "auto" and device.type == "cpu"
        dtype = torch.float32 if exactly else resolve_dtype(options.dtype, device)
        networks = Networks.load(SPEC.find_weights(options.weights))
        home = torch.device("cpu") if options.offload else device
        for network in (networks.unet, networks.controlnet, networks.embed):
            network.to(home, dtype)
        networks.codec.to(home, torch.float32)
        if isinstance(networks.codec, VideoVAE):  # large; in float16, whose steps of color are finer than bfloat16's
            half = dtype == torch.bfloat16 and device.type == "cuda"
            networks.codec.vae.decoder.to(dtype=torch.float16 if half else dtype)
        if options.compile:
            networks.unet.compile()
            networks.controlnet.compile()
        if networks.card.draft_spread and options.draft == "none":
            raise OptionError("--draft none with weights that refine a draft", wanted="--draft auto or matcher")
        drafter: Method | None = None
        if options.draft != "none" and (options.draft != "auto" or networks.card.draft_spread):
            (inner,) = options.inner()
            drafter = load_method(inner)
        return cls(networks, options, device, dtype, drafter)

    def plan(self, length: int, placed: Sequence[int | None]) -> Sequence[Segment]:
        """The windows a shot is made in; see :func:`~celpaint.sampling.segments.plan_segments`."""
        options = self.options
        return plan_segments(
            length,
            overlap=options.overlap,
            placed=placed,
            amplify=options.prev_reference_scale,
            faithful=options.match_official,
        )

    # -- the shot -------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def color(
        self, shot: Shot, *, done: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        options, references = self.options, shot.references
        if options.match_official and len(references) != 1:
            raise OptionError(
                f"--match-official with {len(references)} references",
                wanted="one: the official implementation supports no more",
            )
        painted = {} if options.match_official else {r.frame: r.rgb for r in references if r.frame is not None}
        skip = int(any(r.frame == 0 for r in references))  # the first drawing, if painted, is not made
        length = len(shot) - skip
        if length == 0:
            yield Chunk((0,), (ColorizedFrame(references[0].rgb),))
            return

        fit = Fit.choose(shot.size, options, self.networks.card.area, self.networks.codec.factor)
        placed = [None if r.frame is None else r.frame - skip for r in references]
        segments = self.plan(length, placed)
        random = torch.Generator().manual_seed(options.seed)
        shape = (self.networks.codec.channels, *fit.latents)
        noise = torch.randn((noise_rows(options.overlap), *shape), generator=random).to(self.device)
        if self.networks.card.draft_spread:  # one for all frames: what stays in the draft stays in the result
            noise = noise[:1].expand_as(noise)
        given = self._conditions(shot, fit, torch.randn((1, *shape), generator=random))
        run = _Run(self, shot, fit, given, segments, skip, progress)
        decoder = run.decoder(state)
        sampled = sample_segments(
            segments,
            noise,
            self.sigmas,
            run.window,
            overlap=options.overlap,
            carry=self._carry(state),
            solver=SOLVERS[self.networks.card.solver],
            blended=OFFICIAL_BLENDED if options.match_official else None,
            told=run.step,
        )
        for n in range(int(state["segments"]) if state else 0, len(segments)):
            progress(SegmentStarted(n + 1, len(segments)))
            with self._at_work(self.networks.unet, self.networks.controlnet):
                latents, carry = next(sampled)
            frames: list[ColorizedFrame] = []
            with self._at_work(self.networks.codec):
                for place, rgb in decoder.push(latents):
                    drawing = place - run.front + skip
                    if drawing >= 0:
                        frames.append(ColorizedFrame(painted[drawing] if drawing in painted else fit.leave(rgb)))
                        progress(DrawingColored(drawing + 1, len(shot)))
            if frames:
                yield Chunk(tuple(range(done, done + len(frames))), tuple(frames), _state(carry, decoder))
                done += len(frames)

    def _conditions(self, shot: Shot, fit: Fit, noise: Tensor) -> Conditions:
        """The references, encoded one by one; ``noise`` is what the official draw takes."""
        codec, embed = self.networks.codec, self.networks.embed
        lines = torch.cat([fit.enter(r.line, "constant") for r in shot.references]).to(self.device)
        pictures = [fit.enter(r.rgb, "replicate") * 2 - 1 for r in shot.references]
        with self._at_work(codec):
            latents = torch.cat([codec.encode(rgb.to(self.device)).float() for rgb in pictures])
            drawn = None
            if self.options.match_official:
                drawn = codec.sample(pictures[0].to(self.device), noise) if isinstance(codec, VideoVAE) else latents
        with self._at_work(embed):
            if isinstance(embed, ClipEmbedding):
                whole = [rgb[..., : fit.work[0], : fit.work[1]] for rgb in pictures]
                context = torch.cat([embed(rgb.to(self.device)) for rgb in whole])
            else:
                context = embed((latents * codec.scale).to(self.dtype))
        return Conditions(latents, context, lines, drawn)

    def _carry(self, state: State | None) -> Carry | None:
        if not state:
            return None
        return Carry(int(state["segments"]), *(self._tensor(state[name]) for name in ("latents", "denoised")))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(array)).to(self.device)

    @contextmanager
    def _at_work(self, *networks: nn.Module) -> Iterator[None]:
        """The networks on the device while they are used, and in main memory afterwards where that is wished."""
        if not self.options.offload:
            yield
            return
        for network in networks:
            network.to(self.device)
        try:
            yield
        finally:
            for network in networks:
                network.to("cpu")


def _state(carry: Carry, decoder: ChunkedDecoder) -> State:
    tensors = {"latents": carry.latents, "denoised": carry.denoised, "tail": decoder.tail}
    counts = {"segments": carry.done, "chunks": decoder.chunks_done, "taken": decoder.taken}
    return {
        **{name: tensor.cpu().numpy().copy() for name, tensor in tensors.items()},
        **{name: np.array(count) for name, count in counts.items()},
    }


class _Run:
    """One shot on its way: what its windows are made of.

    The sequence that is decoded has the reference at place 0 if it belongs to the first drawing or leads the decoder's
    chunks (``front`` = 1), then the drawings to make.
    """

    def __init__(
        self,
        method: LVCD,
        shot: Shot,
        fit: Fit,
        given: Conditions,
        segments: Sequence[Segment],
        skip: int,
        progress: Progress,
    ) -> None:
        self.method, self.shot, self.fit, self.given = method, shot, fit, given
        self.segments, self.skip, self.progress = segments, skip, progress
        self.networks, self.options = method.networks, method.options
        self.drafts = _Drafts(self, method.drafter) if method.drafter else None
        self.read: dict[int, Tensor] = {}
        self.front = int(skip or CHUNKING[type(method.networks.codec)].lead)

    def step(self, segment: int, step: int) -> None:
        """Tell of a step done."""
        total = len(self.method.sigmas) - 1
        self.progress(StepDone(segment * total + step, len(self.segments) * total))

    def lines(self, drawings: Sequence[int]) -> Tensor:
        """Line maps ``N 1 H W`` of drawings to make, counted from the first of them.

        Drawings are read once, in order; as many are kept as windows and decoding can ask for again.
        """
        for drawing in sorted(set(drawings) - self.read.keys()):
            self.read[drawing] = self.fit.enter(self.shot.lines[drawing + self.skip], "constant")
        maps = torch.cat([self.read[drawing] for drawing in drawings])
        for drawing in sorted(self.read)[:-KEPT_LINES]:
            del self.read[drawing]
        return maps.to(self.method.device)

    def window(self, segment: Segment, carry: Carry | None) -> Window:
        """The denoiser of a segment, and what is known of it before."""
        networks, given, scale = self.networks, self.given, self.networks.codec.scale
        own = given.latents[list(segment.references)]
        looked = given.latents[list(segment.nearest)]
        if given.drawn is not None and carry is not None:  # the official sampler
            own, looked = given.drawn.expand_as(own), given.drawn.expand_as(looked)
        shared = own[:0] if carry is None else carry.latents / scale
        center = segment.nearest[len(segment.nearest) // 2]
        lines = torch.cat([given.lines[list(segment.references)], self.lines((*segment.previous, *segment.frames))])
        start = None
        if self.drafts is not None:
            drafts = self.drafts.latents(segment.frames) * scale
            start = torch.cat([own * scale, shared * scale, drafts])
            if networks.card.draft_spread:
                looked = drafts / scale
        concat = torch.cat([own, shared, looked])
        sighted = Denoiser(
            networks.unet,
            networks.controlnet,
            concat=concat,
            hint=networks.controlnet.hint(lines[None]),
            context=given.context[center][None],
            micro=torch.tensor([networks.card.micro], device=self.method.device),
            routing=segment.routing,
            late=segment.late,
            until=self.method.until,
            center=concat * scale if networks.card.draft_spread else 0.0,
            spread=networks.card.draft_spread or 1.0,
        )
        denoise: Denoise = guided(sighted, sighted.blind(), self.options.guidance)
        return Window(denoise, start, {} if self.options.match_official else self.known(segment))

    def known(self, segment: Segment) -> dict[int, Tensor]:
        """Position -> latents of the frames of the segment that are painted."""
        latents = self.given.latents * self.networks.codec.scale
        painted = {r.frame - self.skip: latents[i] for i, r in enumerate(self.shot.references) if r.frame is not None}
        return {segment.first + i: painted[frame] for i, frame in enumerate(segment.frames) if frame in painted}

    def decoder(self, state: State | None) -> ChunkedDecoder:
        """Latents -> pictures, from the beginning or from where the state left off."""
        codec, given, lead = self.networks.codec, self.given, self.segments[0].nearest[0]
        first = (given.latents[lead] if given.drawn is None else given.drawn[0]) * codec.scale

        def decode(latents: Tensor, places: tuple[int, ...]) -> Tensor:
            drawings = [place - self.front for place in places if place >= self.front]
            before = len(places) - len(drawings)
            lines = torch.cat([given.lines[lead][None]] * before + [self.lines(drawings)])
            latents = latents / codec.scale
            if self.drafts is None or self.networks.card.draft_spread is None:
                return codec.decode(latents, lines, len(places))
            drafts = torch.cat([given.latents[lead][None]] * before + [self.drafts.latents(drawings)])
            mended, drafted = (codec.decode(x, lines, len(places)).float() for x in (latents, drafts))
            rgb, doubt = self.drafts.pictures(drawings).to(mended).split((3, 1), 1)
            mended[before:] = rgb + doubt * (mended[before:] - drafted[before:])
            return mended

        return ChunkedDecoder(
            decode,
            self.front + len(self.shot) - self.skip,
            CHUNKING[type(codec)],
            first if self.front else None,
            tail=self.method._tensor(state["tail"]) if state else None,
            taken=int(state["taken"]) if state else None,
            chunks_done=int(state["chunks"]) if state else 0,
        )


class _Drafts:
    """Another method's frames, made in its own order until those that are asked for are there."""

    def __init__(self, run: _Run, drafter: Method) -> None:
        self.run = run
        self.chunks = drafter.color(run.shot)
        self.made = Spill(disk=2**62, reserve=0)
        self.encoded: dict[int, Tensor] = {}

    def pictures(self, drawings: Sequence[int]) -> Tensor:
        """``N 4 H W`` at the networks' size, on the CPU: RGB in [-1, 1], and doubt, 1 where nothing is sure."""
        return torch.cat([self.picture(drawing) for drawing in drawings])

    def picture(self, drawing: int) -> Tensor:
        """``1 4 H W``."""
        while (kept := self.made.get(drawing)) is None or kept[0] is None:
            self.make_more()
        return torch.from_numpy(kept[0])

    def make_more(self) -> None:
        """Color the drafter's next drawings."""
        enter, chunk = self.run.fit.enter, next(self.chunks)
        for drawing, painted in zip(chunk.drawings, chunk.painted, strict=True):
            rgb = enter(painted.rgb, "replicate") * 2 - 1
            sure = torch.zeros_like(rgb[:, :1])
            if painted.confidence is not None:
                sure = enter(painted.confidence, "replicate")
            self.made.put(drawing - self.run.skip, (torch.cat([rgb, 1 - sure], 1).numpy(),))

    def latents(self, drawings: Sequence[int]) -> Tensor:
        """``N C h w``, not scaled."""
        codec, device = self.run.networks.codec, self.run.method.device
        with self.run.method._at_work(codec):
            for drawing in sorted(set(drawings) - self.encoded.keys()):
                self.encoded[drawing] = codec.encode(self.pictures([drawing])[:, :3].to(device)).float()
                self.encoded.pop(drawing - KEPT_LINES, None)
        return torch.cat([self.encoded[drawing] for drawing in drawings])
