"""Methods without a part of them, on a toy LVCD and on segment matching."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cel_film import draw_film
from celpaint.benchmark.ablations import RollingReference
from celpaint.benchmark.baselines import CopyReference, SegmentMatcher
from celpaint.methods.lvcd.ablations import UnattendedReference
from celpaint.methods.lvcd.run import LVCD
from celpaint.methods.lvcd.spec import LVCDOptions
from celpaint.methods.lvcd.weights import Card, Networks
from celpaint.models.image_encoder import LatentEmbedding
from celpaint.models.lvcd.unet import UNet
from celpaint.models.vae import LineCodec
from celpaint.types import Reference, Shot
from toy import toy_config, toy_controlnet, toy_line_vae


@pytest.fixture(scope="module")
def shot():
    colors, drawings = draw_film(18, 48, 64)
    lines = [1 - drawing.min(axis=2) for drawing in drawings]
    return Shot(lines, (Reference(colors[0], lines[0], 0),), (48, 64))


def paint(method, shot, **resume):
    return [picture.rgb for chunk in method.color(shot, **resume) for picture in chunk.painted]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    unet = UNet(toy_config())
    control, vae = toy_controlnet(unet), toy_line_vae()
    folder = tmp_path_factory.mktemp("lvcd")
    card = Card(steps=2, area=48 * 64, sigma_max=20.0)
    Networks(unet, control, LineCodec(vae), LatentEmbedding(4, 16), card).save(folder)
    return folder


def test_unattended_reference_routes_no_frame_to_another(weights, shot):
    options = LVCDOptions(weights=str(weights), device="cpu")
    whole, alone = LVCD.load(options), UnattendedReference.load(options)
    for segment in alone.plan(17, [0]):
        for routing in (segment.routing, segment.late):
            assert routing.own == tuple(range(len(routing)))
            assert set(routing.others) == {()}
    with_it, without = paint(whole, shot), paint(alone, shot)
    assert len(without) == 18
    np.testing.assert_array_equal(without[0], shot.references[0].rgb)
    assert not np.allclose(with_it[5], without[5], atol=1e-4)


def test_a_rolling_reference_is_the_last_frame(shot):
    """A copier that is given its own last copy keeps copying it."""
    rolling = paint(RollingReference(CopyReference(), 5), shot)
    assert len(rolling) == 18
    for picture in rolling:
        np.testing.assert_array_equal(picture, shot.references[0].rgb)
    assert len(paint(RollingReference(SegmentMatcher(), 1), shot)) == 18


def test_a_rolling_reference_resumes_after_any_chunk(shot):
    method = RollingReference(SegmentMatcher(), 4)
    chunks = list(method.color(shot))
    assert [chunk.drawings[0] for chunk in chunks] == [0, 4, 8, 12, 16]
    rest = paint(method, shot, done=8, state=chunks[1].state)
    whole = [picture.rgb for chunk in chunks[2:] for picture in chunk.painted]
    for a, b in zip(rest, whole, strict=True):
        np.testing.assert_array_equal(a, b)
