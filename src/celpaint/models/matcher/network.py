"""The matcher: colors a line drawing from painted references by matching, in one pass.

    lines  -> features at 1/2, 1/4, 1/8                             (Matcher.encode_lines)
    + the regions they enclose, where known                         (Matcher.encode_lines)
    + rgb  -> what a reference offers: keys, colors, windows       (Matcher.encode_reference, once a reference)
    target <-> references -> the matching matrix, carried colors   (Matcher.match)
    matching + target lines -> rgb, confidence at full size         (Matcher.decode)
    + pictures moved by optical flow -> rgb, confidence             (Matcher.blend, see celpaint.models.matcher.blend)

Context is gathered at 1/16 by self attention and by attention to the references; correspondence is decided at 1/8 by
one softmax over all tokens of all references and "none of them", then again at 1/4 within a window around the best
match. Where regions are given, their tokens agree first (:mod:`celpaint.models.matcher.region_voting`). The decoder
blends colors carried over, the references' own pixels moved into place and a color of its own, pixel by pixel, and
sees the target's
own lines at every scale. References are a set: their order does not matter.
Nothing depends on batch or picture statistics, so any size works; sizes that 16 does not divide are padded inside.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from celpaint.models.matcher.blend import Blend
from celpaint.models.matcher.region_voting import Agreement, Regions, by_region, preference
from celpaint.models.residual import Residual, conv3, zero

__all__ = ["Decoded", "Detail", "Lines", "Matcher", "Matching", "Offer"]

STRIDE = 16
FREQUENCIES = 5
WINDOW = 6


@dataclass(frozen=True)
class Lines:
    """Features of line drawings, padded so that 16 divides both sides.

    Attributes:
        frames: (B, T): how many clips, and drawings of each.
        size: (height, width) before padding.
        half: ``B*T 32 H/2 W/2``.
        quarter: ``B*T 64 H/4 W/4``.
        eighth: ``B*T 128 H/8 W/8``.
        regions: what the drawings enclose, None where that is not to be used.
    """

    frames: tuple[int, int]
    size: tuple[int, int]
    half: Tensor
    quarter: Tensor
    eighth: Tensor
    regions: Regions | None = None


@dataclass(frozen=True)
class Offer:
    """What painted references offer to any drawing; all token axes hold every reference one after another.

    Attributes:
        context: one (keys, values) pair a layer, each ``B heads R*M/4 d``, for the target's attention at 1/16.
        color: the same for the layers that mend, with the references' colors in them.
        key: ``B R*M d``, unit length, one a token at 1/8.
        value: ``B R*M v+3``: color features and mean RGB of a token.
        prior: ``B R*M``, added to the logits: 0 for painted references, less for those trusted less.
        window_key: ``B R*M 36 f``, keys at 1/4 of the 6 x 6 places around a token.
        window_value: ``B R*M 36 w+3``: their color features and mean RGB.
        picture: ``B 3 R*H W``, the references one below another, padded.
        count: R.
        regions: the references' regions, all numbered differently; None where they are not to be used.
    """

    context: tuple[tuple[Tensor, Tensor], ...]
    color: tuple[tuple[Tensor, Tensor], ...]
    key: Tensor
    value: Tensor
    prior: Tensor
    window_key: Tensor
    window_value: Tensor
    picture: Tensor
    count: int
    regions: Regions | None = None

    @staticmethod
    def join(offers: Sequence[Offer]) -> Offer:
        """All references of all offers as one set."""
        if len(offers) == 1:
            return offers[0]

        def layers(pairs: Sequence[tuple[tuple[Tensor, Tensor], ...]]) -> tuple[tuple[Tensor, Tensor], ...]:
            return tuple(
                (torch.cat([k for k, _ in layer], 2), torch.cat([v for _, v in layer], 2))
                for layer in zip(*pairs, strict=True)
            )

        return Offer(
            context=layers([o.context for o in offers]),
            color=layers([o.color for o in offers]),
            key=torch.cat([o.key for o in offers], 1),
            value=torch.cat([o.value for o in offers], 1),
            prior=torch.cat([o.prior for o in offers], 1),
            window_key=torch.cat([o.window_key for o in offers], 1),
            window_value=torch.cat([o.window_value for o in offers], 1),
            picture=torch.cat([o.picture for o in offers], 2),
            count=sum(o.count for o in offers),
            regions=Regions.join([o.regions for o in offers]),
        )


@dataclass(frozen=True)
class Matching:
    """Which reference token every target token shows.

    Attributes:
        tokens: target features at 1/16 after attention, ``B*T N/4 d``.
        fused: target features at 1/8, ``B*T 128 H/8 W/8``.
        logits: ``B T*N R*M+1``; its softmax is the matching matrix, the last column is "none". None where it was
            worked on in blocks of rows.
        carried: ``B T*N v+3``: what the matrix carries over: color features (share of "none" missing), mean RGB.
        found: ``B T*N``, the probability that any reference shows the token.
        best: ``B T*N`` int64, the token of the references that matches best.
        fine_logits: ``B T*N 4 36``, the second matching: the four quarters of a token against the window around
            its best match.
        fine: ``B*T w+3 H/4 W/4``: what it carries over.
        place: ``B*T 2 H/4 W/4``: where in ``Offer.picture`` the second matching finds every quarter, see
            :func:`positions`.
        moved: ``B*T 3 H W``: the references' own pixels, moved from there.
        votes: ``B P S``: how many tokens of the drawings' P regions each of the references' S regions has won; None
            where regions are not known.
    """

    tokens: Tensor
    fused: Tensor
    logits: Tensor | None
    carried: Tensor
    found: Tensor
    best: Tensor
    fine_logits: Tensor
    fine: Tensor
    place: Tensor
    moved: Tensor
    votes: Tensor | None


@dataclass(frozen=True)
class Decoded:
    """``rgb`` ``B T 3 H W`` in about [0, 1] and ``confidence`` ``B T 1 H W``, the logit that the color is right."""

    rgb: Tensor
    confidence: Tensor


class Attention(nn.Module):
    """Multi-head attention; keys and values are made apart so that a reference's can be kept."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_kv = nn.Linear(channels, 2 * channels, bias=False)
        self.to_out = zero(nn.Linear(channels, channels))

    def split(self, x: Tensor) -> Tensor:
        """``B N C`` -> ``B heads N C/heads``."""
        out: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return out

    def offer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``B N C`` -> keys and values, ``B heads N d`` each."""
        k, v = self.to_kv(x).chunk(2, -1)
        return self.split(k), self.split(v)

    def forward(self, x: Tensor, offer: tuple[Tensor, Tensor]) -> Tensor:
        y = F.scaled_dot_product_attention(self.split(self.to_q(x)), *offer)
        out: Tensor = self.to_out(y.transpose(1, 2).flatten(2))
        return out


class Layer(nn.Module):
    """Local mixing, self attention, attention to the references, MLP; all residual.

    References pass through it without the attention to references.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.local = zero(nn.Conv2d(channels, channels, 5, padding=2, groups=channels))
        self.norm_own, self.own = nn.LayerNorm(channels), Attention(channels, heads)
        self.norm_other, self.norm_source = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.other = Attention(channels, heads)
        self.norm_mlp = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 3 * channels), nn.GELU(), zero(nn.Linear(3 * channels, channels)))

    def mix(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """``B*T N C``: what every frame does by itself before it looks at others."""
        x = x + self.local(x.transpose(1, 2).unflatten(2, grid)).flatten(2).transpose(1, 2)
        h = self.norm_own(x)
        out: Tensor = x + self.own(h, self.own.offer(h))
        return out

    def offer(self, x: Tensor, clips: int) -> tuple[Tensor, Tensor]:
        """Keys and values of ``B*R N C`` references, with all tokens of a clip's references on one axis."""
        return self.other.offer(self.norm_source(x).unflatten(0, (clips, -1)).flatten(1, 2))

    def look(self, x: Tensor, offer: tuple[Tensor, Tensor]) -> Tensor:
        """``B*T N C`` targets attend to their clip's references."""
        clips = offer[0].shape[0]
        y = self.other(self.norm_other(x).unflatten(0, (clips, -1)).flatten(1, 2), offer)
        out: Tensor = x + y.view_as(x)
        return out

    def think(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.mlp(self.norm_mlp(x))
        return out


def each(layers: nn.ModuleList) -> Iterator[Layer]:
    """The layers, as what they are."""
    return cast("Iterator[Layer]", iter(layers))


class Detail(nn.Module):
    """Brings a picture colored at a smaller size to the size of its lines, keeping edges at the lines.

    Every pixel is a convex combination of the 3 x 3 small pixels around it (as RAFT upsamples flow: Teed & Deng,
    ECCV 2020, section 3.3), with weights read off the full-size lines.
    """

    def __init__(self, *, channels: int = 24) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(4 * 5, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, 4 * 9, 3, padding=1),
        )

    def forward(self, small: Tensor, small_lines: Tensor, lines: Tensor) -> Tensor:
        """``B C h w`` (its first three channels RGB), ``B 1 h w``, ``B 1 H W`` -> ``B C H W``."""
        height, width = lines.shape[-2:]
        pad = (0, width % 2, 0, height % 2)
        size = (height + pad[3], width + pad[1])
        guide = torch.cat([small[:, :3], small_lines], 1)
        guide = F.interpolate(guide, size=size, mode="bilinear", align_corners=False)
        guide = torch.cat([guide, F.pad(lines, pad, mode="replicate")], 1)
        weight = F.pixel_shuffle(self.net(F.pixel_unshuffle(guide, 2)), 2).softmax(1).split(1, 1)
        y = ((torch.arange(size[0], device=small.device) + 0.5) * (small.shape[2] / height)).long()
        x = ((torch.arange(size[1], device=small.device) + 0.5) * (small.shape[3] / width)).long()
        y, x = y.clamp(max=small.shape[2] - 1), x.clamp(max=small.shape[3] - 1)
        ring = F.pad(small, (1, 1, 1, 1), mode="replicate")
        out = torch.zeros_like(weight[0])
        for k in range(9):
            out = out + weight[k] * ring[:, :, y + k // 3][:, :, :, x + k % 3]
        return out[:, :, :height, :width]


def fourier(grid: tuple[int, int], like: Tensor) -> Tensor:
    """Sines and cosines of the place in the picture, in units of its height: ``4*FREQUENCIES h w``."""
    h, w = grid
    y = (torch.arange(h, device=like.device, dtype=torch.float32) + 0.5 - h / 2) / h
    x = (torch.arange(w, device=like.device, dtype=torch.float32) + 0.5 - w / 2) / h
    place = torch.stack([y[:, None].expand(h, w), x[None].expand(h, w)])
    scale = math.pi * 2.0 ** torch.arange(FREQUENCIES, device=like.device)
    angle = (place[:, None] * scale[:, None, None]).flatten(0, 1)
    return torch.cat([angle.sin(), angle.cos()]).to(like.dtype)


def positions(best: Tensor, weight: Tensor, grid: tuple[int, int], count: int) -> Tensor:
    """Where in the references the second matching finds each quarter of a token, on average.

    Args:
        best: ``B N``, the token of all references.
        weight: ``B N 4 36``, the second matching.
        grid: height and width of a reference in tokens.
        count: R.

    Returns:
        ``B N 4 2``, (x, y) in pixels of ``Offer.picture``, float32, never outside the token's own reference.
    """
    h, w = grid
    step = 4 * torch.arange(WINDOW, device=best.device, dtype=torch.float32) - 6
    ring = torch.stack([step.repeat(WINDOW), step.repeat_interleave(WINDOW)], -1)
    place = weight.float() @ ring
    which, token = best // (h * w), best % (h * w)
    x = (8 * (token % w))[..., None] + place[..., 0]
    y = (8 * (token // w))[..., None] + place[..., 1]
    x, y = x.clamp(0.5, 8 * w - 0.5), y.clamp(0.5, 8 * h - 0.5)
    return torch.stack([x, y + (8 * h * which)[..., None]], -1)


def pixels(place: Tensor, height: int) -> tuple[Tensor, Tensor]:
    """Where in the references every pixel is found, when quarters are moved whole.

    Args:
        place: ``B*T 2 H/4 W/4``, as :func:`positions` gives it.
        height: of one reference, padded.

    Returns:
        x and y, ``B*T H W`` each, the centers of pixels at halves, never outside the reference.
    """
    offset = torch.arange(4, device=place.device) - 1.5
    wide = F.interpolate(place, scale_factor=4, mode="nearest")
    first = (wide[:, 1] / height).floor() * height
    x = (wide[:, 0] + offset.repeat(place.shape[3])).clamp(0.5, 4 * place.shape[3] - 0.5)
    y = (wide[:, 1] + offset.repeat(place.shape[2])[:, None]).clamp(first + 0.5, first + height - 0.5)
    return x, y


def move(offer: Offer, place: Tensor) -> Tensor:
    """Sample the references around where the quarters' centers are, pixel for pixel.

    Args:
        offer: the references, of B clips.
        place: ``B*T 2 H/4 W/4``, as :func:`positions` gives it.

    Returns:
        ``B*T 3 H W``.
    """
    clips, _, tall, width = offer.picture.shape
    height = tall // offer.count
    x, y = pixels(place, height)
    at = torch.stack([x * (2 / width) - 1, y * (2 / tall) - 1], -1)
    at = at.unflatten(0, (clips, -1)).flatten(1, 2)
    moved = F.grid_sample(offer.picture.float(), at, padding_mode="border", align_corners=False)
    out: Tensor = moved.unflatten(2, (-1, height)).transpose(1, 2).flatten(0, 1).to(offer.picture.dtype)
    return out


def _rows(
    blocks: Sequence[tuple[Tensor | None, Tensor, Tensor, Tensor]],
) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
    """Blocks of rows one under another."""
    _, carried, found, best = zip(*blocks, strict=True)
    return None, torch.cat(carried, 1), torch.cat(found, 1), torch.cat(best, 1)


def tokens(x: Tensor) -> Tensor:
    """``B C h w`` -> ``B h*w C``."""
    return x.flatten(2).transpose(1, 2)


def quarters(x: Tensor) -> Tensor:
    """``B C 2h 2w`` -> ``B h*w 4 C``: the four quarters of every token, row by row."""
    b, c, h, w = x.shape
    return x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(b, h * w // 4, 4, c)


def windows(x: Tensor) -> Tensor:
    """``B C 2h 2w`` -> ``B h*w 36 C``: the 6 x 6 places around every token; the border is repeated."""
    h, w = x.shape[2] // 2, x.shape[3] // 2
    x = F.pad(x, (2, 2, 2, 2), mode="replicate").unfold(2, WINDOW, 2).unfold(3, WINDOW, 2)
    return x.permute(0, 2, 3, 4, 5, 1).reshape(x.shape[0], h * w, WINDOW * WINDOW, x.shape[1])


def paint_mean(rgb: Tensor, lines: Tensor, size: int) -> Tensor:
    """Mean RGB of cells over what is paint rather than ink: ``B 3 H W`` -> ``B 3 H/size W/size``."""
    weight = (1 - lines).square() + 0.02
    return F.avg_pool2d(rgb * weight, size) / F.avg_pool2d(weight, size)


class Matcher(nn.Module):
    """The network. All arguments are JSON values; they are the ``config.json`` of its weights.

    Args:
        channels: features at 1/2, 1/4 and 1/8.
        width: channels of the tokens at 1/16.
        layers: layers of context before matching.
        mend_layers: layers of context after it, which fill in what no reference shows.
        heads: attention heads.
        key: length of the matching vectors at 1/8.
        fine_key: length of those at 1/4.
        value: color features carried over at 1/8.
        fine_value: those at 1/4.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (32, 64, 128),
        width: int = 192,
        layers: int = 3,
        mend_layers: int = 2,
        heads: int = 6,
        key: int = 96,
        fine_key: int = 32,
        value: int = 96,
        fine_value: int = 32,
    ) -> None:
        super().__init__()
        c2, c4, c8 = channels
        self.value_channels, self.fine_channels = value, fine_value
        self.lines_half = nn.Sequential(conv3(4, c2), Residual(c2, norm=False))
        self.lines_quarter = nn.Sequential(nn.SiLU(), conv3(c2, c4, 2), Residual(c4, norm=False))
        self.lines_eighth = nn.Sequential(nn.SiLU(), conv3(c4, c8, 2), Residual(c8, norm=True), Residual(c8, norm=True))
        self.to_tokens = nn.Sequential(nn.SiLU(), conv3(c8, width, 2))
        self.place = nn.Conv2d(4 * FREQUENCIES, width, 1)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))

        self.fuse = nn.Conv2d(c8 + width + 4 * FREQUENCIES, c8, 1)
        self.fuse_mix = nn.Sequential(Residual(c8, norm=True), nn.SiLU())
        self.query, self.key = nn.Conv2d(c8, key, 1), nn.Conv2d(c8, key, 1)
        self.none = nn.Conv2d(c8, 1, 1)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

        self.fine_mix = nn.Sequential(nn.Conv2d(c4 + c8, c4, 1), nn.SiLU(), conv3(c4, c4), nn.SiLU())
        self.fine_query, self.fine_key = nn.Conv2d(c4, fine_key, 1), nn.Conv2d(c4, fine_key, 1)
        self.fine_log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.fine_place = nn.Parameter(torch.zeros(4, WINDOW * WINDOW))

        self.color_quarter = nn.Sequential(nn.Conv2d(48 + c4, c4, 1), nn.SiLU(), conv3(c4, c4))
        self.fine_value = nn.Conv2d(c4, fine_value, 1)
        self.color_eighth = nn.Sequential(nn.SiLU(), conv3(c4, c8, 2), Residual(c8, norm=True))
        self.value = nn.Conv2d(c8, value, 1)
        self.color_tokens = nn.Conv2d(c8, width, 2, 2)

        self.mend_in = nn.Conv2d(value + 4, width, 2, 2)
        self.mend = nn.ModuleList(Layer(width, heads) for _ in range(mend_layers))

        self.decode_eighth = nn.Sequential(nn.Conv2d(c8 + value + 4 + width, c8, 1), Residual(c8, norm=True), nn.SiLU())
        self.up_quarter = nn.Conv2d(c8, c4, 1)
        self.decode_quarter = nn.Sequential(conv3(2 * c4 + fine_value + 4, c4), Residual(c4, norm=True), nn.SiLU())
        self.up_half = nn.Conv2d(c4, c2, 1)
        self.decode_half = nn.Sequential(nn.Conv2d(2 * c2 + 12, c2, 1), Residual(c2, norm=False), nn.SiLU())
        self.head = nn.Conv2d(c2, 4 * (12 + 3 + 1), 1)
        self.detail = Detail()
        self.blend = Blend()

    # -- lines ------------------------------------------------------------------------------------------------

    def encode_lines(self, lines: Tensor, regions: Tensor | None = None) -> Lines:
        """Features of drawings.

        Args:
            lines: ``B T 1 H W`` in [0, 1], 1 where ink.
            regions: ``B T H W`` int64, the number of the closed region every pixel belongs to, from 0 in every drawing.
        """
        x = pad(lines.flatten(0, 1))
        half = self.lines_half(F.pixel_unshuffle(x, 2))
        quarter = self.lines_quarter(half)
        return Lines(
            frames=(lines.shape[0], lines.shape[1]),
            size=(lines.shape[3], lines.shape[4]),
            half=half,
            quarter=quarter,
            eighth=self.lines_eighth(quarter),
            regions=None if regions is None else Regions.of(regions, STRIDE),
        )

    def start(self, lines: Lines) -> tuple[Tensor, tuple[int, int]]:
        x = self.to_tokens(lines.eighth)
        grid = (x.shape[2], x.shape[3])
        return tokens(x + self.place(fourier(grid, x)[None])), grid

    def fused(self, lines: Lines, context: Tensor, grid: tuple[int, int]) -> Tensor:
        wide = context.transpose(1, 2).unflatten(2, grid)
        wide = F.interpolate(wide, scale_factor=2, mode="bilinear", align_corners=False)
        place = fourier((wide.shape[2], wide.shape[3]), wide).expand(wide.shape[0], -1, -1, -1)
        out: Tensor = self.fuse_mix(self.fuse(torch.cat([lines.eighth, wide, place], 1)))
        return out

    def fine_features(self, lines: Lines, fused: Tensor) -> Tensor:
        up = F.interpolate(fused, scale_factor=2, mode="nearest")
        out: Tensor = self.fine_mix(torch.cat([lines.quarter, up], 1))
        return out

    # -- references -------------------------------------------------------------------------------------------

    def encode_reference(self, lines: Lines, drawn: Tensor, rgb: Tensor, prior: Tensor | None = None) -> Offer:
        """What painted references offer; computed once, valid for every target.

        Args:
            lines: features of their ``B R`` drawings.
            drawn: the drawings themselves, ``B R 1 H W``.
            rgb: ``B R 3 H W`` in [0, 1].
            prior: ``B R 1 H W`` log-trust, 0 for painted references; None for 0 everywhere.
        """
        clips, count = lines.frames
        ink, paint = pad(drawn.flatten(0, 1)), pad(rgb.flatten(0, 1))
        x, grid = self.start(lines)
        context = []
        for layer in each(self.layers):
            x = layer.mix(x, grid)
            context.append(layer.offer(x, clips))
            x = layer.think(x)
        fused = self.fused(lines, x, grid)
        fine = self.fine_features(lines, fused)

        quarter = self.color_quarter(torch.cat([F.pixel_unshuffle(paint - 0.5, 4), lines.quarter], 1))
        eighth = self.color_eighth(quarter)
        mean8, mean4 = paint_mean(paint, ink, 8), paint_mean(paint, ink, 4)

        y = x + tokens(self.color_tokens(eighth))
        color = tuple(layer.offer(y, clips) for layer in each(self.mend))

        def together(t: Tensor) -> Tensor:
            joined: Tensor = t.unflatten(0, (clips, count)).flatten(1, 2)
            return joined

        trust = paint.new_zeros(clips, count * mean8.shape[2] * mean8.shape[3])
        if prior is not None:
            trust = together(tokens(F.avg_pool2d(pad(prior.flatten(0, 1)), 8))).squeeze(-1)
        return Offer(
            context=tuple(context),
            color=color,
            key=together(F.normalize(tokens(self.key(fused)), dim=-1)),
            value=together(tokens(torch.cat([self.value(eighth), mean8], 1))),
            prior=trust,
            window_key=together(windows(F.normalize(self.fine_key(fine), dim=1))),
            window_value=together(windows(torch.cat([self.fine_value(quarter), mean4], 1))),
            picture=paint.unflatten(0, (clips, count)).transpose(1, 2).flatten(2, 3),
            count=count,
            regions=lines.regions,
        )

    # -- matching ---------------------------------------------------------------------------------------------

    def match(self, lines: Lines, offer: Offer, *, rows: int | None = None) -> Matching:
        """Match drawings with references.

        Args:
            lines: features of ``B T`` target drawings.
            offer: what their clip's references offer.
            rows: work on so many rows of the matching matrix at a time and forget them; None keeps all in ``logits``.
        """
        clips, _ = lines.frames
        x, grid = self.start(lines)
        for layer, source in zip(each(self.layers), offer.context, strict=True):
            x = layer.think(layer.look(layer.mix(x, grid), source))
        fused = self.fused(lines, x, grid)

        def together(t: Tensor) -> Tensor:
            joined: Tensor = t.unflatten(0, (clips, -1)).flatten(1, 2)
            return joined

        q = together(F.normalize(tokens(self.query(fused)), dim=-1)) * self.log_scale.clamp(max=4.0).exp()
        none = together(tokens(self.none(fused)))
        step = rows or q.shape[1]
        own, theirs = lines.regions, offer.regions
        votes = agreed = None
        if own is not None and theirs is not None:
            votes = self.vote(q, offer, own, theirs, step)
            agreed = Agreement(preference(votes, own, theirs), own, theirs)
        blocks = [
            self.carry(
                q[:, i : i + step],
                none[:, i : i + step],
                offer,
                None if agreed is None else agreed.rows(i, step),
                keep=rows is None,
            )
            for i in range(0, q.shape[1], step)
        ]
        logits, carried, found, best = blocks[0] if len(blocks) == 1 else _rows(blocks)

        fine = self.fine_features(lines, fused)
        fine_q = together(quarters(F.normalize(self.fine_query(fine), dim=1)))
        clip = torch.arange(clips, device=best.device)[:, None]
        scale = self.fine_log_scale.clamp(max=4.0).exp()
        fine_logits = (fine_q * scale) @ offer.window_key[clip, best].transpose(-1, -2) + self.fine_place
        if agreed is not None:
            fine_logits = fine_logits + agreed.windows(best).to(fine_logits.dtype)
        fine_weight = fine_logits.softmax(-1)
        fine_carried = fine_weight @ offer.window_value[clip, best]
        h, w = fused.shape[2:]

        def spread(t: Tensor) -> Tensor:
            """``B T*N 4 C`` -> ``B*T C H/4 W/4``."""
            cells = t.reshape(-1, h, w, 2, 2, t.shape[-1])
            return cells.permute(0, 5, 1, 3, 2, 4).reshape(-1, t.shape[-1], 2 * h, 2 * w)

        place = spread(positions(best, fine_weight, (h, w), offer.count))
        return Matching(
            tokens=x,
            fused=fused,
            logits=logits,
            carried=carried,
            found=found,
            best=best,
            fine_logits=fine_logits,
            fine=spread(fine_carried),
            place=place,
            moved=move(offer, place),
            votes=votes,
        )

    def alike(self, q: Tensor, offer: Offer) -> Tensor:
        """Rows of logits, ``B n R*M``, before regions and "none" have a say."""
        prior = offer.prior[:, None].expand(-1, q.shape[1], -1)
        return torch.baddbmm(prior, q, offer.key.transpose(1, 2))

    def vote(self, q: Tensor, offer: Offer, own: Regions, theirs: Regions, step: int) -> Tensor:
        """How much of every region of the references the tokens of every region of the drawings find: ``B P S``.

        Worked out without gradients: nothing is learnt through it.
        """
        with torch.no_grad():
            blocks = (self.alike(q[:, i : i + step], offer).softmax(-1) for i in range(0, q.shape[1], step))
            return by_region(blocks, own, theirs)

    def carry(
        self, q: Tensor, none: Tensor, offer: Offer, preferred: Tensor | None, *, keep: bool
    ) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        """Rows of the matching matrix and what they carry over: logits, carried, found, best of :class:`Matching`.

        Args:
            preferred: ``B n R*M``, what regions add to the logits; not to the probability of "none".
        """
        logits = self.alike(q, offer)
        found = (logits.logsumexp(-1, keepdim=True) - none).sigmoid()
        if preferred is not None:
            logits = logits + preferred.to(logits.dtype)
        weight = logits.softmax(-1)
        best = logits.max(-1, keepdim=True).indices  # several times as fast as argmax on a CPU
        carried = weight @ offer.value
        carried = torch.cat([carried[..., :-3] * found, carried[..., -3:]], -1)
        return torch.cat([logits, none], 2) if keep else None, carried, found.squeeze(-1), best.squeeze(-1)

    # -- decoding ---------------------------------------------------------------------------------------------

    def decode(self, lines: Lines, matching: Matching, offer: Offer) -> Decoded:
        """Colors at full size from what was carried over and the target's lines."""
        h, w = matching.fused.shape[2:]

        def image(t: Tensor) -> Tensor:
            return t.reshape(-1, h, w, t.shape[-1]).permute(0, 3, 1, 2)

        carried = torch.cat([matching.carried, matching.found[..., None]], -1)
        carried = image(carried)
        x = matching.tokens + tokens(self.mend_in(carried))
        for layer, source in zip(each(self.mend), offer.color, strict=True):
            x = layer.think(layer.look(layer.mix(x, (h // 2, w // 2)), source))
        wide = F.interpolate(x.transpose(1, 2).unflatten(2, (h // 2, w // 2)), scale_factor=2, mode="nearest")
        x = self.decode_eighth(torch.cat([matching.fused, carried, wide], 1))

        x = F.interpolate(self.up_quarter(x), scale_factor=2, mode="nearest")
        sure = F.interpolate(carried[:, -1:], scale_factor=2, mode="nearest")
        x = self.decode_quarter(torch.cat([x, lines.quarter, matching.fine, sure], 1))
        x = F.interpolate(self.up_half(x), scale_factor=2, mode="nearest")
        x = self.decode_half(torch.cat([x, lines.half, F.pixel_unshuffle(matching.moved - 0.5, 2)], 1))
        out = F.pixel_shuffle(self.head(x), 2)

        choice, own, confidence = out.split([12, 3, 1], 1)
        weight = choice.softmax(1).split(1, 1)
        ring = F.pad(matching.fine[:, -3:], (1, 1, 1, 1), mode="replicate")
        rgb = weight[9] * F.interpolate(carried[:, -4:-1], scale_factor=8, mode="bilinear", align_corners=False)
        rgb = rgb + weight[10] * (own + 0.5) + weight[11] * matching.moved
        for k in range(9):
            near = ring[:, :, k // 3 : k // 3 + 2 * h, k % 3 : k % 3 + 2 * w]
            rgb = rgb + weight[k] * F.interpolate(near, scale_factor=4, mode="nearest")
        height, width = lines.size
        return Decoded(
            rgb=rgb[..., :height, :width].unflatten(0, lines.frames),
            confidence=confidence[..., :height, :width].unflatten(0, lines.frames),
        )

    def forward(
        self, lines: Tensor, reference_lines: Tensor, reference_rgb: Tensor, regions: Tensor | None = None
    ) -> tuple[Decoded, Matching]:
        """Color ``B T 1 H W`` drawings from ``B R`` references; ``regions`` are of both, ``B T+R H W``."""
        targets = lines.shape[1]
        both = self.encode_lines(torch.cat([lines, reference_lines], 1), regions)
        target, reference = divide(both, targets)
        offer = self.encode_reference(reference, reference_lines, reference_rgb)
        matching = self.match(target, offer)
        return self.decode(target, matching, offer), matching


def pad(x: Tensor) -> Tensor:
    """Repeat the right and lower border until 16 divides both sides."""
    h, w = x.shape[-2:]
    right, below = -w % STRIDE, -h % STRIDE
    return F.pad(x, (0, right, 0, below), mode="replicate") if right or below else x


def divide(lines: Lines, count: int) -> tuple[Lines, Lines]:
    """The first ``count`` drawings of every clip, and the rest."""
    clips, frames = lines.frames

    def part(which: slice, n: int) -> Lines:
        maps = [
            x.unflatten(0, (clips, frames))[:, which].flatten(0, 1) for x in (lines.half, lines.quarter, lines.eighth)
        ]
        regions = None if lines.regions is None else lines.regions.part(which)
        return Lines((clips, n), lines.size, maps[0], maps[1], maps[2], regions)

    return part(slice(count), count), part(slice(count, None), frames - count)
