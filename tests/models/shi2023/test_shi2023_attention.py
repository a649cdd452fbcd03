"""The distance attention layer of Shi et al. 2023, against the equations worked out with NumPy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from celpaint.models.shi2023 import attention as module
from celpaint.models.shi2023.attention import AttentionReferences, DistanceAttention

Values = npt.NDArray[np.float64]
C, H, W = 4, 2, 3
N = H * W


class Inputs(NamedTuple):
    target: Tensor
    distance: Tensor
    color: Tensor


def make_layer(**options: float) -> DistanceAttention:
    torch.manual_seed(0)
    layer = DistanceAttention(C, key=3, value=2, **options)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return layer.requires_grad_(False)


def make_inputs(targets: int = 2, references: int = 3, clips: int = 2) -> Inputs:
    generator = torch.Generator().manual_seed(1)
    return Inputs(*(torch.randn(clips, n, C, H, W, generator=generator) for n in (targets, references, references)))


def conv3x3(x: Values, weight: Values) -> Values:
    """``I h w`` -> ``O h w`` with replicated borders, one multiplication after another."""
    out = np.zeros((len(weight), H, W))
    for row in range(H):
        for column in range(W):
            for i in range(3):
                for j in range(3):
                    y, z = min(max(row + i - 1, 0), H - 1), min(max(column + j - 1, 0), W - 1)
                    out[:, row, column] += weight[:, :, i, j] @ x[:, y, z]
    return out


def sigmoid(x: Values) -> Values:
    return 1 / (1 + np.exp(-x))


class Expected(NamedTuple):
    matching: Values
    features: Values
    confidence: Values


def by_hand(layer: DistanceAttention, target: Tensor, distance: Tensor, color: Tensor, scale: float = 1) -> Expected:
    """Equations 3 to 5 for one drawing ``C h w`` and K references ``K C h w``."""
    w = {name: p.double().numpy() for name, p in layer.named_parameters()}
    f_d, f_di, f_y = (x.double().numpy() for x in (target, distance, color))
    count = len(f_di)

    def mask(kind: str, i: int) -> Values:
        """sigma(Conv(f_di concatenated with f_d)): one convolution of 2 C channels."""
        weight = np.concatenate([w[f"{kind}_reference.weight"], w[f"{kind}_target.weight"]], 1)
        bias = w[f"{kind}_reference.bias"][:, None, None]
        return sigmoid(conv3x3(np.concatenate([f_di[i], f_d]), weight) + bias)

    m = np.stack([mask("mask", i) for i in range(count)])  # equation 3
    n = np.stack([mask("share", i) for i in range(count)])  # equation 4
    f_my = f_y * m

    def linear(name: str, x: Values) -> Values:
        """1 x 1 convolution, ``C h w`` -> ``O N``."""
        bias = w.get(f"{name}.bias", np.zeros(len(w[f"{name}.weight"])))
        return w[f"{name}.weight"][:, :, 0, 0] @ x.reshape(len(x), N) + bias[:, None]

    query = linear("to_query", f_d)
    key = np.concatenate([linear("to_key", x) for x in f_di], 1)
    value = np.concatenate([linear("to_value", x) for x in f_my], 1)
    matching = np.exp(scale * query.T @ key)
    matching /= matching.sum(1, keepdims=True)  # N x K N, one softmax over all references
    f_mat = (value @ matching.T).reshape(-1, H, W)
    f_mat = linear("to_color", f_mat).reshape(C, H, W)
    f_sim = sum((1 - n[i]) * f_mat + n[i] * f_my[i] for i in range(count)) / count  # equation 5

    trust = np.concatenate([x.reshape(C, N).mean(0) for x in m])
    found = (matching @ trust).reshape(H, W)
    confidence = sum((1 - n[i]) * found + n[i] * m[i] for i in range(count)) / count
    return Expected(matching, np.asarray(f_sim), np.asarray(confidence).mean(0))


@pytest.mark.parametrize("references", [1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_features_and_confidence_are_those_of_equations_3_to_5(references: int, scale: float) -> None:
    layer, (target, distance, color) = make_layer(scale=scale), make_inputs(references=references)
    attended = layer(target, layer.encode_references(distance, color))
    for clip in range(2):
        for t in range(2):
            expected = by_hand(layer, target[clip, t], distance[clip], color[clip], scale)
            np.testing.assert_allclose(attended.features[clip, t], expected.features, atol=1e-5)
            np.testing.assert_allclose(attended.confidence[clip, t, 0], expected.confidence, atol=1e-5)


def test_the_softmax_of_the_similarities_is_the_matching_matrix() -> None:
    layer, (target, distance, color) = make_layer(scale=0.5), make_inputs()
    similarity = layer.similarity(target, layer.encode_references(distance, color))
    assert similarity.shape == (2, 2, N, 3 * N)
    for clip in range(2):
        for t in range(2):
            expected = by_hand(layer, target[clip, t], distance[clip], color[clip], 0.5)
            np.testing.assert_allclose(similarity[clip, t].softmax(-1), expected.matching, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 4, N, 100])
def test_blocks_of_rows_give_what_all_rows_at_once_give(rows: int) -> None:
    layer, (target, distance, color) = make_layer(), make_inputs()
    references = layer.encode_references(distance, color)
    whole, parts = layer(target, references, rows=N), layer(target, references, rows=rows)
    torch.testing.assert_close(parts.features, whole.features, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(parts.confidence, whole.confidence, atol=1e-6, rtol=1e-6)


def test_large_inputs_are_matched_in_blocks_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, (target, distance, color) = make_layer(), make_inputs()
    references = layer.encode_references(distance, color)
    whole, sizes = layer(target, references), []
    attention = torch.nn.functional.scaled_dot_product_attention

    def counted(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        sizes.append(query.shape[0] * query.shape[2] * key.shape[2])
        return attention(query, key, value, scale=scale)

    monkeypatch.setattr(module.F, "scaled_dot_product_attention", counted)
    monkeypatch.setattr(module, "BLOCK", 200)
    parts = layer(target, references)
    assert len(sizes) > 1
    assert max(sizes) <= 200
    assert sum(sizes) == 4 * N * 3 * N
    torch.testing.assert_close(parts.features, whole.features, atol=1e-6, rtol=1e-6)


def test_references_may_come_in_any_order() -> None:
    layer, (target, distance, color) = make_layer(), make_inputs()
    order = [2, 0, 1]
    one = layer(target, layer.encode_references(distance, color))
    two = layer(target, layer.encode_references(distance[:, order], color[:, order]))
    torch.testing.assert_close(one.features, two.features, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(one.confidence, two.confidence, atol=1e-6, rtol=1e-6)


def test_a_reference_given_twice_counts_once() -> None:
    layer, (target, distance, color) = make_layer(), make_inputs(references=1)
    one = layer(target, layer.encode_references(distance, color))
    two = layer(target, layer.encode_references(distance[:, [0, 0]], color[:, [0, 0]]))
    torch.testing.assert_close(one.features, two.features, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(one.confidence, two.confidence, atol=1e-6, rtol=1e-6)


def test_joined_references_are_those_encoded_together() -> None:
    layer, (target, distance, color) = make_layer(), make_inputs()
    parts = [layer.encode_references(distance[:, i, None], color[:, i, None]) for i in (2, 0)]
    together = layer.encode_references(distance[:, [2, 0]], color[:, [2, 0]])
    joined = AttentionReferences.join(parts)
    torch.testing.assert_close(layer(target, joined).features, layer(target, together).features)


def test_a_drawing_equal_to_its_reference_takes_the_colors_of_its_own_positions() -> None:
    layer = make_layer(scale=100.0)
    layer.to_key.weight.copy_(layer.to_query.weight)
    layer.to_query.bias.zero_()
    distance = torch.nn.functional.normalize(torch.randn(1, 1, C, H, W), dim=2)
    # unit keys, so that no position is nearer to another than to itself
    keys = layer.to_key(distance[0])
    distance = distance / keys.norm(dim=1)[:, None, None]
    references = layer.encode_references(distance, torch.randn(1, 1, C, H, W))
    matching = layer.similarity(distance, references).softmax(-1)[0, 0]
    assert torch.equal(matching.argmax(-1), torch.arange(N))


def test_closed_masks_mean_no_confidence_and_open_ones_full_confidence() -> None:
    layer, (target, distance, color) = make_layer(), make_inputs()
    for bias, confidence in ((-1e3, 0.0), (1e3, 1.0)):
        layer.mask_reference.bias.fill_(bias)
        attended = layer(target, layer.encode_references(distance, color))
        torch.testing.assert_close(attended.confidence, torch.full((2, 2, 1, H, W), confidence))
