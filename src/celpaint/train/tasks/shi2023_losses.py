"""The losses of Shi et al., "Reference-Based Deep Line Art Video Colorization", IEEE TVCG 29(6), 2023, section 3.4.

Equation 11 is the same for both networks. The color transform network has all its terms; the temporal refinement
network has no latent term, and its other terms are means over all frames of a clip: :func:`generator_terms` takes
frames of any number of clips one after another, so it serves both.

The paper leaves open how the norms are reduced; here they are means over elements, and colors are in [0, 1], as in the
work that the weights come from (Thasarathan et al., "Automatic Temporally Coherent Video Colorization", CRV 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "Features",
    "LossWeights",
    "discriminator_loss",
    "generator_adversarial_loss",
    "generator_terms",
    "gram_matrix",
    "l1_loss",
    "latent_loss",
    "perceptual_loss",
    "style_loss",
]

Features = Callable[[Tensor], Sequence[Tensor]]
"""Feature maps of pictures: ``N 3 H W`` in [0, 1] -> several ``N C h w``.

The paper takes five layers of VGG19: relu1_1, relu2_1, relu3_1, relu4_1, relu5_1."""


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """The weights lambda of equation 11; the defaults are the paper's."""

    l1: float = 10.0
    perceptual: float = 1.0
    style: float = 1000.0
    latent: float = 1.0
    adversarial: float = 1.0

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the terms there are (equation 11).

        Args:
            terms: scalars by the names of this class's fields; at least one.

        Raises:
            KeyError: a term has another name.
        """
        weights = asdict(self)
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()


def generator_terms(result: Tensor, truth: Tensor, features: Features, fake_logits: Tensor) -> dict[str, Tensor]:
    """What equation 11 sums for a generator, without the latent term.

    Args:
        result: ``N 3 H W`` in [0, 1], the generated frames.
        truth: ``N 3 H W`` in [0, 1].
        features: no gradient goes through the truth's.
        fake_logits: the discriminator's of the generated frames, any shape.

    Returns:
        ``l1``, ``perceptual``, ``style`` and ``adversarial``, for :meth:`LossWeights.total`.
    """
    with torch.no_grad():
        wanted = features(truth)
    found = features(result)
    return {
        "l1": l1_loss(result, truth),
        "perceptual": perceptual_loss(found, wanted),
        "style": style_loss(found, wanted),
        "adversarial": generator_adversarial_loss(fake_logits),
    }


def l1_loss(result: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error of two equal shapes (equation 6)."""
    return (result - truth).abs().mean()


def perceptual_loss(result: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """Mean squared error of feature maps, summed over layers (equation 7).

    Args:
        result: feature maps ``N C h w`` of the generated frames, one a layer.
        truth: those of the true frames.
    """
    return torch.stack([F.mse_loss(a, b) for a, b in zip(result, truth, strict=True)]).sum()


def style_loss(result: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """Mean absolute error of Gram matrices, summed over layers (equation 8). Arguments as :func:`perceptual_loss`."""
    pairs = zip(result, truth, strict=True)
    return torch.stack([l1_loss(gram_matrix(a), gram_matrix(b)) for a, b in pairs]).sum()


def gram_matrix(features: Tensor) -> Tensor:
    """``N C h w`` -> ``N C C``: products of channels, summed over positions, divided by ``C*h*w``."""
    flat = features.float().flatten(2)
    return torch.bmm(flat, flat.transpose(1, 2)) / flat[0].numel()


def latent_loss(similar: Tensor, middle: Tensor, truth: Tensor) -> Tensor:
    """L1 of the colors decoded from the attention layer's and the residual blocks' outputs (equation 9).

    The paper compares pictures of different sizes. Here the truth is averaged over the area of each small pixel.

    Args:
        similar: ``N 3 h w`` in [0, 1].
        middle: ``N 3 h w`` in [0, 1].
        truth: ``N 3 H W`` in [0, 1].
    """
    small = F.interpolate(truth, similar.shape[-2:], mode="area")
    return l1_loss(similar, small) + l1_loss(middle, small)


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """What a discriminator minimizes: half of the negative of equation 10, with D the sigmoid of the logits.

    Args:
        real_logits: of true frames, any shape.
        fake_logits: of generated frames, which gradients should not go through: detach them before.
    """
    return 0.5 * (F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean())


def generator_adversarial_loss(fake_logits: Tensor) -> Tensor:
    """What a generator minimizes: -log D of its frames.

    Equation 10 would have it minimize log(1 - D), whose gradient vanishes where the discriminator is sure; both have
    the same optimum (Goodfellow et al., NeurIPS 2014, section 3).
    """
    return F.softplus(-fake_logits).mean()
