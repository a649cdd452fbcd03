"""The Frechet distance against closed forms and scipy, FID and FVD with small networks in the real files' place."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from celpaint.errors import WeightsError
from celpaint.metrics import networks
from celpaint.metrics.base import FramePair
from celpaint.metrics.frechet import FID, FVD, FVGG, frechet_distance
from celpaint.metrics.perceptual import CLIPSimilarity
from celpaint.metrics.sums import Compared, Moments

fetched = pytest.mark.skipif(
    networks.find("lpips") is None, reason="the LPIPS networks were not fetched (celpaint.metrics.networks.fetch)"
)


def moments(mean, covariance):
    """Moments of a Gaussian given exactly."""
    count = 1000
    mean = np.asarray(mean, np.float64)
    outer = np.asarray(covariance) * (count - 1) + count * np.outer(mean, mean)
    return Moments(count, mean * count, outer)


def test_distance_of_gaussians_in_one_dimension():
    # |m1 - m2|^2 + (s1 - s2)^2
    assert frechet_distance(moments([1], [[4]]), moments([4], [[9]])) == pytest.approx(9 + 1)


def test_distance_of_commuting_covariances():
    one, two = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 1.0, 0.0])
    expected = 3 + sum((math.sqrt(a) - math.sqrt(b)) ** 2 for a, b in zip(np.diag(one), np.diag(two), strict=True))
    assert frechet_distance(moments([0, 0, 0], one), moments([1, 1, 1], two)) == pytest.approx(expected)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_frechet_distance_equals_scipys_matrix_square_root(seed, width):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(40, width)), rng.normal(1, 2, (50, width))
    product = np.cov(a.T) @ np.cov(b.T)
    offset = a.mean(0) - b.mean(0)
    root = np.real(scipy.linalg.sqrtm(product))
    expected = offset @ offset + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(expected, abs=1e-7)


def test_distance_of_fewer_frames_than_features_is_finite_and_zero_for_equals():
    features = np.random.default_rng(0).normal(size=(8, 64))
    assert frechet_distance(Moments.of(features), Moments.of(features)) == pytest.approx(0, abs=1e-4)
    assert math.isnan(frechet_distance(Moments.of(features[:1]), Moments.of(features)))


class SmallInception(torch.nn.Module):
    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert x.dtype == torch.uint8
        return x.to(torch.float32).mean(dim=(2, 3))


class SmallI3D(torch.nn.Module):
    def forward(
        self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
    ) -> torch.Tensor:
        assert x.shape[2] == 16
        assert x.shape[3] == 224
        assert rescale
        return x.mean(dim=(3, 4)).std(dim=2)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CELPAINT_CACHE", str(tmp_path))
    return tmp_path


def script(network, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(network).save(str(path))


def film(count):
    rng = np.random.default_rng(0)
    truths = rng.random((count, 12, 16, 3), np.float32)
    return [FramePair(i, ground_truth * 0.5, ground_truth, scored=i > 0) for i, ground_truth in enumerate(truths)]


def total(metric, pairs):
    window = [metric.measure(pairs[max(i - metric.history + 1, 0) : i + 1]) for i in range(len(pairs))]
    found = [sums for sums in window if sums is not None]
    return sum(found[1:], found[0])


def test_fid_pools_scored_frames(cache):
    script(SmallInception(), cache / "inception-2015-12-05.pt")
    sums = total(FID(), film(6))
    assert isinstance(sums, Compared)
    assert sums.result.count == sums.ground_truth.count == 5
    truths = np.stack([np.rint(p.ground_truth * 255).mean((0, 1)) for p in film(6)[1:]])
    np.testing.assert_allclose(sums.ground_truth.mean, truths.mean(0), rtol=1e-5)


def test_fvd_takes_whole_windows(cache):
    script(SmallI3D(), cache / "i3d_torchscript.pt")
    sums = total(FVD(), film(37))
    assert sums.result.count == 2


def test_missing_or_broken_network_files_are_refused(cache):
    for metric in (FID, FVD):
        with pytest.raises(WeightsError) as caught:
            metric()
        assert "put it into" in caught.value.todo
    (cache / "inception-2015-12-05.pt").write_bytes(b"not a network")
    with pytest.raises(WeightsError) as caught:
        FID()
    assert "not a TorchScript" in caught.value.seen


@fetched
def test_fvgg_is_zero_for_the_same_film_and_never_called_fid():
    pairs = [FramePair(i, p.ground_truth, p.ground_truth) for i, p in enumerate(film(4))]
    pairs = [FramePair(p.index, *(np.kron(p.ground_truth, np.ones((4, 4, 1), np.float32)),) * 2) for p in pairs]
    metric = FVGG()
    assert metric.values(total(metric, pairs))[0] == pytest.approx(0, abs=1e-4)
    assert metric.outputs[0].name == "fvgg"


def test_clip_similarity_is_the_cosine_of_embeddings(tmp_path):
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8,
        projection_dim=8,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(tmp_path / "clip")
    metric = CLIPSimilarity(tmp_path / "clip")
    pair = film(2)[1]
    assert metric.of(FramePair(0, pair.ground_truth, pair.ground_truth)) == pytest.approx(1, abs=1e-5)
    assert -1 <= metric.of(pair) < 1
    with pytest.raises(WeightsError) as caught:
        CLIPSimilarity(tmp_path / "nothing")
    assert "not a CLIP model" in caught.value.seen
