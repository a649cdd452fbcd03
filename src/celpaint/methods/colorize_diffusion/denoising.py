"""The UNet under given conditions as ``denoise(x, sigma)``, and guidance by reference and sketch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from celpaint.models.colorize_diffusion.conditions import Conditions, Memory
from celpaint.models.colorize_diffusion.unet import UNet
from celpaint.sampling.combined_guidance import guided_by
from celpaint.sampling.parameterization import Parameterization
from celpaint.sampling.solvers import Denoise

__all__ = ["AttentionInjection", "Denoiser", "Guidance", "guided"]


@dataclass(frozen=True, kw_only=True)
class AttentionInjection:
    """Self-attention to a picture that is denoised alongside; costs a second pass of the UNet.

    At every noise level the picture's latents get fresh noise and pass the UNet; what its self-attention layers are
    given is attended to by the result's own.

    Attributes:
        latents: ``1 C h w`` scaled latents of the picture.
        hints: the sketch encoder's hints of the picture with its values negated, times their strength.
        noise: noise level -> unit noise ``1 C h w``; the same for every call at one level, so that all passes of a
            step see the same picture.
        highest: noise level from which on, downward, it acts.
        fidelity: share of the passes without reference that ignores the picture, 0 to 1.
    """

    latents: Tensor
    hints: tuple[Tensor, ...]
    noise: Callable[[float], Tensor]
    highest: float = float("inf")
    fidelity: float = 0.5


@dataclass(frozen=True)
class Denoiser:
    """The UNet under given conditions. Latents stay float32 outside the network.

    Attributes:
        unet: the network.
        parameterization: what it predicts and how it is told the noise level.
        conditions: what it is told.
        injection: a picture its self-attention sees, or None.
        plain: share of the self-attention that ignores that picture, 0 to 1.
    """

    unet: UNet
    parameterization: Parameterization
    conditions: Conditions
    injection: AttentionInjection | None = None
    plain: float = 0.0

    def __call__(self, x: Tensor, sigma: float, /) -> Tensor:
        """``B C h w`` -> ``B C h w``."""
        memory = self._memory(sigma)

        def network(scaled: Tensor, timestep: float) -> Tensor:
            out: Tensor = self.unet(scaled, scaled.new_full((1,), timestep), self.conditions, memory).sample
            return out

        return self.parameterization.denoiser(network)(x, sigma)

    def _memory(self, sigma: float) -> Memory | None:
        picture = self.injection
        if picture is None or sigma > picture.highest:
            return None
        scaling = self.parameterization.scaling(sigma)
        noisy = scaling.inner * (picture.latents + sigma * picture.noise(sigma))
        told = self.conditions.with_hints(picture.hints)
        return Memory(self.unet(noisy, noisy.new_full((1,), scaling.noise), told).tokens, self.plain)


@dataclass(frozen=True)
class Guidance:
    """Scales of classifier-free guidance; 1 turns one off.

    Attributes:
        reference: by the reference, 1 to 15.
        sketch: by the sketch, 1 to 5.
    """

    reference: float = 4.0
    sketch: float = 1.0


def guided(denoiser: Denoiser, guidance: Guidance, blank: tuple[Tensor, ...]) -> Denoise:
    """Guidance by reference and sketch.

    Args:
        denoiser: the conditional one.
        guidance: the scales.
        blank: hints of an empty sketch.
    """
    conditions = denoiser.conditions
    plain = denoiser.injection.fidelity if denoiser.injection else 0.0
    no_reference = replace(denoiser, conditions=conditions.without_reference(), plain=plain)
    no_sketch = replace(denoiser, conditions=conditions.with_hints(blank))
    return guided_by(denoiser, [(no_reference, guidance.reference), (no_sketch, guidance.sketch)])
