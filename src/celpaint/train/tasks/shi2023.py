"""Training the networks of Shi et al., "Reference-Based Deep Line Art Video Colorization", IEEE TVCG 29(6), 2023.

Stage ``transform`` trains the color transform network against a discriminator of frames; stage ``refinement`` trains
the temporal refinement network on its results, frozen, against a discriminator of clips (section 3.4). A training clip
is a window of frames in time order: the references are its first and last frame, or the first alone.

Beside the paper's losses, the similarities of the distance attention layer can be supervised where the correspondences
of a clip are known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from celpaint.conditions.distance import distance_map
from celpaint.data.clips import ClipBatch
from celpaint.methods.shi2023 import weights
from celpaint.methods.shi2023.run import Shi2023
from celpaint.methods.shi2023.spec import Shi2023Options
from celpaint.models.shi2023.config import RefinementConfig, TransformConfig
from celpaint.models.shi2023.discriminators import ClipDiscriminator, FrameDiscriminator
from celpaint.models.shi2023.refinement import TemporalRefinement, in_time_order
from celpaint.models.shi2023.transform import ColorTransform, Supervision
from celpaint.train.engine.contact_sheet import psnr, sheet
from celpaint.train.engine.recipe import Recipe
from celpaint.train.engine.tables import Count, NonNegative, from_table, need
from celpaint.train.engine.task import Part, Task
from celpaint.train.tasks.clips import Clips
from celpaint.train.tasks.coloring import color_shot
from celpaint.train.tasks.matching import label
from celpaint.train.tasks.objective import matching_loss
from celpaint.train.tasks.shi2023_losses import (
    LossWeights,
    discriminator_loss,
    generator_adversarial_loss,
    generator_terms,
    l1_loss,
    latent_loss,
)
from celpaint.weights.store import load_network, read_tensors

if TYPE_CHECKING:
    import numpy.typing as npt

    from celpaint.metrics.lpips import LPIPS
    from celpaint.train.engine.engine import Engine

__all__ = [
    "AdversarialNetworks",
    "NetworkOptions",
    "Shi2023Training",
    "Shi2023TrainingOptions",
    "TrainingWindow",
    "first_features",
    "reference_frames",
]

_CELL = 4
"""Pixels per position of the attention layer."""


@dataclass(frozen=True, kw_only=True)
class Shi2023TrainingOptions:
    """The ``[task]`` table of a recipe.

    Attributes:
        features: of the perceptual and style losses: the first layer of every stage of VGG16, or all layers of AlexNet
            (both come with LPIPS, which must have been fetched); ``none`` leaves these losses out.
        l1_weight, perceptual_weight, style_weight, latent_weight, adversarial_weight: lambda of equation 11.
        matching_weight: of the cross-entropy on the similarities of the attention layer.
        matching_positions: positions of each frame it is computed for, drawn at random.
        reference_count_probs: how often 1, 2, 3, ... references are given.
        targets: frames of a window that are colored in a step of stage ``transform``.
        distance: frames from the first reference to the next frame, least and most.
        stride: frames between the others.
        distances: from the reference, at which validation looks.
        line_styles: of the line art there.
        validation_clips: for each of them.
    """

    features: Literal["none", "alex", "vgg"] = "none"
    l1_weight: NonNegative = 10.0
    perceptual_weight: NonNegative = 1.0
    style_weight: NonNegative = 1000.0
    latent_weight: NonNegative = 1.0
    adversarial_weight: NonNegative = 1.0
    matching_weight: NonNegative = 0.5
    matching_positions: Count = 512
    reference_count_probs: Annotated[tuple[NonNegative, ...], Meta(min_length=1)] = (0.3, 0.7)
    targets: Count = 1
    distance: tuple[Count, Count] = (1, 24)
    stride: tuple[Count, Count] = (1, 3)
    distances: Annotated[tuple[Count, ...], Meta(min_length=1)] = (1, 15)
    line_styles: Annotated[tuple[str, ...], Meta(min_length=1)] = ("soft", "binary")
    validation_clips: Count = 4

    @property
    def weights(self) -> LossWeights:
        """Of the paper's losses."""
        return LossWeights(
            l1=self.l1_weight,
            perceptual=self.perceptual_weight,
            style=self.style_weight,
            latent=self.latent_weight,
            adversarial=self.adversarial_weight,
        )


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """The ``[network]`` table of a recipe.

    Attributes:
        size: of all networks.
        transform, refinement: changes to their sizes, see :mod:`celpaint.models.shi2023.config`.
    """

    size: Literal["paper", "small"] = "paper"
    transform: Mapping[str, Any] = field(default_factory=dict)
    refinement: Mapping[str, Any] = field(default_factory=dict)

    def configs(self) -> tuple[TransformConfig, RefinementConfig]:
        """The sizes of both generators."""
        paper = self.size == "paper"
        transform = TransformConfig() if paper else TransformConfig.small()
        refinement = RefinementConfig() if paper else RefinementConfig.small()
        return (
            from_table(TransformConfig, {**asdict(transform), **self.transform}, "network.transform"),
            from_table(RefinementConfig, {**asdict(refinement), **self.refinement}, "network.refinement"),
        )


@dataclass(frozen=True)
class TrainingWindow:
    """Clips in time order.

    Attributes:
        lines, distance: ``B T 1 H W``, line art (1 where ink) and pixels to the nearest line.
        color: ``B T 3 H W`` in [0, 1].
        drawing, point: ``B T H W`` and ``B T 2 H W``, see :class:`celpaint.data.clips.ClipBatch`; None for films.
        references: indices of the painted frames.
        targets: indices of the frames that stage ``transform`` colors.
    """

    lines: Tensor
    distance: Tensor
    color: Tensor
    drawing: Tensor | None
    point: Tensor | None
    references: tuple[int, ...]
    targets: tuple[int, ...]

    @property
    def between(self) -> tuple[int, ...]:
        """Indices of all frames that are no references."""
        return tuple(i for i in range(self.lines.shape[1]) if i not in self.references)


class AdversarialNetworks(nn.Module):
    """Generators and discriminators of both stages.

    Args:
        widths: of both discriminators, see :mod:`celpaint.models.shi2023.discriminators`.
    """

    def __init__(self, transform: ColorTransform, refinement: TemporalRefinement, *, widths: Sequence[int]) -> None:
        super().__init__()
        self.transform, self.refinement = transform, refinement
        self.transform.add_spectral_norm()
        self.refinement.add_spectral_norm()
        self.frame_discriminator = FrameDiscriminator(widths=widths)
        self.clip_discriminator = ClipDiscriminator(widths=widths)

    def transformed(self, window: TrainingWindow) -> tuple[Tensor, Supervision]:
        """For training: the window's targets colored, ``B T 3 H W``, and what is supervised."""
        targets, given = list(window.targets), list(window.references)
        transformed, supervision = self.transform(
            window.lines[:, targets],
            window.distance[:, targets],
            window.lines[:, given],
            window.distance[:, given],
            window.color[:, given],
        )
        return transformed.rgb, supervision

    def colored(self, window: TrainingWindow) -> Tensor:
        """The frames that are no references, ``B T 3 H W``, colored by the color transform network."""
        between, given = list(window.between), list(window.references)
        references = self.transform.encode_references(
            window.lines[:, given], window.distance[:, given], window.color[:, given]
        )
        return self.transform.color(window.lines[:, between], window.distance[:, between], references).rgb

    def refined(self, window: TrainingWindow, colored: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A window whose frames between the references were colored, refined.

        Returns:
            the refined frames, their lines and their true colors, in time order, references first and last.
        """
        between, given = list(window.between), list(window.references)
        lines = in_time_order(window.lines[:, between], window.lines[:, given])
        rgb = in_time_order(colored, window.color[:, given])
        return self.refinement(lines, rgb), lines, in_time_order(window.color[:, between], window.color[:, given])


class Shi2023Training(Task[AdversarialNetworks, TrainingWindow]):
    """Both stages; ``run.monitor`` may be ``psnr`` (highest), of the stage's own network."""

    every_parameter_used = False

    def __init__(
        self, network: AdversarialNetworks, options: Shi2023TrainingOptions, clips: Clips, device: torch.device
    ) -> None:
        self.network, self.options, self.clips, self.device = network, options, clips, device
        self.stage = "transform"
        self.features = None if options.features == "none" else _features(options.features, device)
        self._made: deque[Tensor] = deque()  # what the generators made in this step, for the discriminators

    @classmethod
    def build(cls, recipe: Recipe, device: torch.device) -> Self:
        options = from_table(Shi2023TrainingOptions, recipe.task, "task")
        need(recipe.data.frames >= 4, "data.frames", recipe.data.frames, "4 or more")
        stages = ("transform", "refinement")
        need({*recipe.stages} <= {*stages} and bool(recipe.stages), "stages", [*recipe.stages], " and ".join(stages))
        network_options = from_table(NetworkOptions, recipe.network, "network")
        transform, refinement = network_options.configs()
        generators = ColorTransform(transform), TemporalRefinement(refinement)
        if recipe.init.weights:
            for name, generator in zip(stages, generators, strict=True):
                folder = Path(recipe.init.weights) / name
                load_network(generator, read_tensors(folder), source=folder).requires_grad_(True)
        widths = (64, 128, 256, 256) if network_options.size == "paper" else (32, 64, 128, 128)
        network = AdversarialNetworks(*generators, widths=widths).to(device).train()
        spec = {"distance": options.distance, "stride": options.stride, "backwards": 0.0}
        return cls(network, options, Clips(recipe.data, device, spec=spec, distance=options.distance), device)

    def optimizers(self) -> Mapping[str, Sequence[str]]:
        return {name: [name] for name, _ in self.network.named_children()}

    def begin_stage(self, stage: str) -> None:
        self.stage = stage

    # Data

    def batches(self, seed: int, start: int) -> Iterator[TrainingWindow]:
        for number in count(start):
            rng = np.random.default_rng((seed, number))
            clip = next(self.clips.batches(seed, number))
            yield self.window(clip, 1 + int(rng.choice(len(self._counts), p=self._counts)), rng)

    @property
    def _counts(self) -> npt.NDArray[np.float64]:
        """How likely 1, 2, 3, ... references are; the refinement network knows no more than two."""
        most = 2 if self.stage == "refinement" else None
        probs = np.array(self.options.reference_count_probs[:most], np.float64)
        return np.asarray(probs / probs.sum())

    def window(self, clip: ClipBatch, references: int, rng: np.random.Generator | None = None) -> TrainingWindow:
        """A clip with so many references; ``rng`` draws the targets, else they are all other frames."""
        given = reference_frames(clip.color.shape[1], references)
        others = [i for i in range(clip.color.shape[1]) if i not in given]
        if rng is not None:
            others = sorted(rng.choice(others, min(self.options.targets, len(others)), replace=False).tolist())
        fields = [distance_map(line) for line in clip.lines.flatten(0, 2).float().cpu().numpy()]
        distance = torch.from_numpy(np.stack(fields)).to(clip.lines.device).view_as(clip.lines)
        return TrainingWindow(clip.lines, distance, clip.color, clip.drawing, clip.point, given, tuple(others))

    def frames(self, batch: TrainingWindow) -> int:
        return batch.color.shape[0] * (len(batch.targets) if self.stage == "transform" else batch.color.shape[1])

    # Losses

    def step(self, batches: Sequence[TrainingWindow], engine: Engine) -> None:
        self._made.clear()
        engine.update("transform", self.transform_loss, batches)
        engine.update("refinement", self.refinement_loss, batches)
        if self.options.adversarial_weight:
            engine.update("frame_discriminator", self.frame_discriminator_loss, batches)
            engine.update("clip_discriminator", self.clip_discriminator_loss, batches)

    def transform_loss(self, batch: TrainingWindow) -> tuple[Tensor, dict[str, Any]]:
        """Equation 11 for the frames of one batch, and the supervision of matching."""
        options = self.options
        rgb, supervision = self.network.transformed(batch)
        lines, truth = batch.lines[:, list(batch.targets)], batch.color[:, list(batch.targets)]
        made, wanted = rgb.flatten(0, 1), truth.flatten(0, 1)
        self._made.append(made.detach())
        terms = self._terms(made, wanted, self.network.frame_discriminator, lines.flatten(0, 1), made)
        similar, middle = supervision.similar.flatten(0, 1), supervision.middle.flatten(0, 1)
        terms["latent"] = latent_loss(similar, middle, wanted)
        loss = options.weights.total(terms)
        figures: dict[str, Any] = dict(terms)
        if options.matching_weight and batch.drawing is not None and batch.point is not None:
            found, accuracy = self.matching(batch, batch.drawing, batch.point, supervision)
            loss = loss + options.matching_weight * found
            figures |= {"matching": found, "accuracy": accuracy}
        return loss, figures

    def refinement_loss(self, batch: TrainingWindow) -> tuple[Tensor, dict[str, Any]]:
        """Equation 11 without the latent term, over all frames of the window."""
        with torch.no_grad():
            colored = self.network.colored(batch)
        refined, lines, truth = self.network.refined(batch, colored)
        self._made.append(refined.detach())
        made, wanted = refined.flatten(0, 1), truth.flatten(0, 1)
        terms = self._terms(made, wanted, self.network.clip_discriminator, lines, refined)
        return self.options.weights.total(terms), dict(terms)

    def _terms(
        self, made: Tensor, wanted: Tensor, discriminator: nn.Module, lines: Tensor, judged: Tensor
    ) -> dict[str, Tensor]:
        """The terms of equation 11 that the recipe asks for."""
        logits = discriminator(lines, judged)
        if self.features is not None:
            return generator_terms(made, wanted, self.features, logits)
        return {"l1": l1_loss(made, wanted), "adversarial": generator_adversarial_loss(logits)}

    def frame_discriminator_loss(self, batch: TrainingWindow) -> tuple[Tensor, dict[str, Any]]:
        """Equation 10, on the frames that the color transform network has just made."""
        at = list(batch.targets)
        lines, truth = batch.lines[:, at].flatten(0, 1), batch.color[:, at].flatten(0, 1)
        return self._judged(self.network.frame_discriminator, lines, truth)

    def clip_discriminator_loss(self, batch: TrainingWindow) -> tuple[Tensor, dict[str, Any]]:
        """Equation 10, on the clips that the temporal refinement network has just made."""
        between, given = list(batch.between), list(batch.references)
        lines = in_time_order(batch.lines[:, between], batch.lines[:, given])
        truth = in_time_order(batch.color[:, between], batch.color[:, given])
        return self._judged(self.network.clip_discriminator, lines, truth)

    def _judged(self, discriminator: nn.Module, lines: Tensor, truth: Tensor) -> tuple[Tensor, dict[str, Any]]:
        real, fake = discriminator(lines, truth), discriminator(lines, self._made.popleft())
        return discriminator_loss(real, fake), {"real_right": (real > 0).float().mean()}

    def matching(
        self, batch: TrainingWindow, drawing: Tensor, point: Tensor, supervision: Supervision
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the similarities of some positions against the truth, and the share that match rightly."""
        middle = _CELL // 2
        drawing = drawing[..., middle::_CELL, middle::_CELL].flatten(2)  # B T N
        point = point[..., middle::_CELL, middle::_CELL].flatten(3).transpose(2, 3)  # B T N 2
        chosen = torch.randperm(drawing.shape[2], device=drawing.device)[: self.options.matching_positions]
        targets, given = list(batch.targets), list(batch.references)
        labels = label(
            drawing[:, targets][:, :, chosen],
            point[:, targets][:, :, chosen],
            drawing[:, given].flatten(1, 2)[:, None],
            point[:, given].flatten(1, 2)[:, None],
            _CELL / batch.lines.shape[-2],
        )
        return matching_loss(supervision.similarity[:, :, chosen], labels)

    # Validation

    def validate(self, network: AdversarialNetworks) -> dict[str, float]:
        """PSNR in dB by the number of references, distance and line style, beside copying the nearest reference."""
        figures: dict[str, list[float]] = {}
        for style in self.options.line_styles:
            for distance in self.options.distances:
                for clip in self.clips.validation(distance, style, self.options.validation_clips):
                    for references in (1, 2):
                        window = self.window(clip, references)
                        truth = window.color[:, list(window.between)]
                        score = psnr(self.color(network, window)[0], truth[0])
                        for name in ("psnr", f"psnr_{references}", f"psnr_{references}_{style}_{distance}"):
                            figures.setdefault(name, []).append(score)
                        figures.setdefault(f"copy_{references}", []).append(psnr(_copied(window), truth))
        return {name: float(np.mean(values)) for name, values in figures.items()}

    def color(self, network: AdversarialNetworks, window: TrainingWindow) -> tuple[Tensor, Tensor]:
        """The frames between the references of one clip, ``T 3 H W``, and their confidence ``T 1 H W``, colored as
        with the exported weights, as far as the stage has come."""
        size = window.lines.shape[-2], window.lines.shape[-1]
        options = Shi2023Options(refine="off" if self.stage == "transform" else "on", size=size)
        networks = weights.Networks(network.transform, network.refinement)
        method = Shi2023(networks, options, self.device, torch.float32)
        rgb, confidence = color_shot(method, window.lines[0], window.color[0], window.references)
        between = list(window.between)
        return rgb[between], confidence[between]

    def sample_sheet(self, network: AdversarialNetworks) -> npt.NDArray[np.uint8]:
        """Rows of first reference, line art, result, truth, confidence."""
        rows = []
        for style in self.options.line_styles:
            for distance in self.options.distances:
                for clip in self.clips.validation(distance, style, 1):
                    window = self.window(clip, 2)
                    middle = len(window.between) // 2
                    at, color = window.between[middle], window.color[0]
                    made, confidence = self.color(network, window)
                    rows.append([color[0], 1 - window.lines[0, at], made[middle], color[at], confidence[middle]])
        return sheet(rows)

    # Export

    def export_config(self) -> Mapping[str, Any]:
        return asdict(self.network.transform.config)

    def parts(self) -> Mapping[str, Part]:
        plain = "celpaint.models.shi2023.layers:plain_tensors"
        return {
            "transform": Part("transform", self.export_config(), convert=plain),
            "refinement": Part("refinement", asdict(self.network.refinement.config), convert=plain),
        }


def reference_frames(frames: int, references: int) -> tuple[int, ...]:
    """Which frames of a window are painted: the first, and the others evenly up to the last (section 4.5).

    >>> reference_frames(8, 1), reference_frames(8, 2), reference_frames(9, 3)
    ((0,), (0, 7), (0, 4, 8))
    """
    if references == 1:
        return (0,)
    references = min(references, frames - 1)  # one is left to color
    return tuple(round(i * (frames - 1) / (references - 1)) for i in range(references))


def first_features(network: LPIPS, pictures: Tensor) -> list[Tensor]:
    """``N 3 H W`` in [0, 1] -> relu1_1, relu2_1, relu3_1, relu4_1, relu5_1 of VGG16.

    The paper has VGG19, which has the same layers up to the first of the fourth stage, but other weights.
    """
    x = (2 * pictures - 1 - network.shift) / network.scale
    layers = []
    for i, conv in enumerate(network.convs):
        if i in _POOLED:
            x = F.max_pool2d(x, 2, 2)
        x = conv(x).relu()
        if i in (0, *_POOLED):
            layers.append(x)
        if i == _POOLED[-1]:
            break
    return layers


_POOLED = (2, 4, 7, 10)
"""Convolutions of VGG16 that begin the second and later stages."""


def _features(name: Literal["alex", "vgg"], device: torch.device) -> Any:
    """A frozen network's features of pictures."""
    from celpaint.metrics.networks import load_lpips

    network = load_lpips(name).to(device).eval().requires_grad_(False)
    if name == "alex":
        return network.features
    return lambda pictures: first_features(network, pictures)


def _copied(window: TrainingWindow) -> Tensor:
    """For every frame between the references, the reference nearest in time."""
    nearest = [min(window.references, key=lambda r, i=i: abs(r - i)) for i in window.between]  # type: ignore[misc]
    return window.color[:, nearest]
