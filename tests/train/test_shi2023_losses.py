"""The losses of Shi et al. 2023, against NumPy and values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from celpaint.train.tasks.shi2023_losses import (
    LossWeights,
    discriminator_loss,
    generator_adversarial_loss,
    generator_terms,
    gram_matrix,
    l1_loss,
    latent_loss,
    perceptual_loss,
    style_loss,
)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def features(picture: Tensor) -> list[Tensor]:
    """Two layers that are easy to work out."""
    return [picture, 2 * picture[..., ::2, ::2]]


def test_l1_is_the_mean_over_elements() -> None:
    a, b = torch.tensor([[0.0, 1.0], [0.5, 0.25]]), torch.tensor([[0.5, 1.0], [0.0, 0.5]])
    assert float(l1_loss(a, b)) == pytest.approx((0.5 + 0 + 0.5 + 0.25) / 4)


def test_perceptual_loss_sums_the_layers_mean_squared_errors() -> None:
    a, b = rand(2, 3, 4, 6), rand(2, 3, 4, 6, seed=1)
    x, y = a.double().numpy(), b.double().numpy()
    expected = ((x - y) ** 2).sum() / x.size + 4 * ((x - y)[..., ::2, ::2] ** 2).sum() / (2 * 3 * 2 * 3)
    assert float(perceptual_loss(features(a), features(b))) == pytest.approx(expected, rel=1e-5)


def test_gram_matrix_is_divided_by_the_number_of_elements() -> None:
    x = rand(2, 3, 4, 5)
    flat = x.double().numpy().reshape(2, 3, 20)
    expected = np.stack([f @ f.T / (3 * 4 * 5) for f in flat])
    np.testing.assert_allclose(gram_matrix(x), expected, rtol=1e-5)


def test_style_loss_sums_the_layers_mean_absolute_errors_of_gram_matrices() -> None:
    a, b = rand(2, 3, 4, 6), rand(2, 3, 4, 6, seed=1)

    def gram(x: np.ndarray) -> np.ndarray:
        return np.einsum("nchw,ndhw->ncd", x, x) / x[0].size

    x, y = a.double().numpy(), b.double().numpy()
    expected = np.abs(gram(x) - gram(y)).mean()
    expected += np.abs(gram(2 * x[..., ::2, ::2]) - gram(2 * y[..., ::2, ::2])).mean()
    assert float(style_loss(features(a), features(b))) == pytest.approx(expected, rel=1e-5)


def test_style_loss_does_not_see_where_things_are() -> None:
    x = rand(1, 3, 4, 6)
    assert float(style_loss([x], [x.flip(-1)])) == pytest.approx(0, abs=1e-6)
    assert float(perceptual_loss([x], [x.flip(-1)])) > 0.01


def test_latent_loss_compares_with_the_truth_averaged_over_areas() -> None:
    truth, similar, middle = rand(2, 3, 8, 12), rand(2, 3, 2, 3, seed=1), rand(2, 3, 2, 3, seed=2)
    small = truth.double().numpy().reshape(2, 3, 2, 4, 3, 4).mean((3, 5))
    expected = np.abs(similar.numpy() - small).mean() + np.abs(middle.numpy() - small).mean()
    assert float(latent_loss(similar, middle, truth)) == pytest.approx(expected, rel=1e-5)


def test_discriminator_loss_is_half_the_negative_of_equation_10() -> None:
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 3.0])

    def d(logit: float) -> float:
        return 1 / (1 + math.exp(-logit))

    equation = (math.log(d(2)) + math.log(d(-1))) / 2 + (math.log(1 - d(0.5)) + math.log(1 - d(3))) / 2
    assert float(discriminator_loss(real, fake)) == pytest.approx(-equation / 2, rel=1e-6)
    assert float(generator_adversarial_loss(fake)) == pytest.approx(-(math.log(d(0.5)) + math.log(d(3))) / 2, rel=1e-6)


def test_adversarial_losses_stay_finite_and_keep_their_gradient() -> None:
    logits = torch.tensor([-200.0, 200.0], requires_grad=True)
    loss = discriminator_loss(logits, logits.detach()) + generator_adversarial_loss(logits)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert float(logits.grad[0]) == pytest.approx(-0.75)  # half of the discriminator's half, half of the generator's 1


def test_the_weights_are_the_papers() -> None:
    terms = {name: torch.tensor(1.0) for name in ("l1", "perceptual", "style", "latent", "adversarial")}
    assert float(LossWeights().total(terms)) == 10 + 1 + 1000 + 1 + 1
    assert float(LossWeights(style=2.0).total({"style": torch.tensor(3.0)})) == 6


def test_a_term_without_a_weight_is_an_error() -> None:
    with pytest.raises(KeyError, match="temporal"):
        LossWeights().total({"temporal": torch.tensor(1.0)})


def test_the_terms_of_a_clip_are_the_means_over_its_frames() -> None:
    result, truth, logits = rand(4, 3, 8, 8), rand(4, 3, 8, 8, seed=1), rand(4, 1, 2, 2, seed=2)
    clip = generator_terms(result, truth, features, logits)
    frames = [generator_terms(result[[i]], truth[[i]], features, logits[[i]]) for i in range(4)]
    assert set(clip) == {"l1", "perceptual", "style", "adversarial"}
    for name, term in clip.items():
        assert float(term) == pytest.approx(sum(float(frame[name]) for frame in frames) / 4, rel=1e-5)


def test_no_gradient_goes_to_the_truth() -> None:
    result, truth = rand(1, 3, 8, 8).requires_grad_(), rand(1, 3, 8, 8, seed=1)
    seen: list[bool] = []

    def watched(picture: Tensor) -> list[Tensor]:
        seen.append(torch.is_grad_enabled())
        return features(picture)

    LossWeights().total(generator_terms(result, truth, watched, torch.zeros(1))).backward()
    assert seen == [False, True]
    assert result.grad is not None
    assert result.grad.any()
