"""Contact sheets: where every picture and caption lies."""

from __future__ import annotations

import numpy as np

from celpaint.frames.contact_sheet import GAP, PAPER, STRIP, SheetRow, contact_sheet

RED, BLUE = np.full((10, 20, 3), (255, 0, 0), np.uint8), np.full((10, 20, 3), (0.0, 0.0, 1.0), np.float32)


def test_pictures_lie_side_by_side_with_a_gap():
    sheet = contact_sheet([SheetRow([RED, BLUE]), SheetRow([BLUE])])
    assert sheet.shape == (2 * 10 + GAP, 2 * 20 + GAP, 3)
    assert (sheet[:10, :20] == (255, 0, 0)).all()
    assert (sheet[:10, 20 + GAP :] == (0, 0, 255)).all()
    assert (sheet[10 + GAP :, :20] == (0, 0, 255)).all()
    assert (sheet[10 + GAP :, 20:] == PAPER).all()


def test_captions_and_headings_take_a_strip_each_and_are_drawn():
    sheet = contact_sheet([SheetRow([RED], "first"), SheetRow([RED])], ["heading"])
    assert sheet.shape[0] == 2 * STRIP + 2 * 10 + GAP
    assert (sheet[:STRIP] < 128).any()
    assert (sheet[STRIP : 2 * STRIP] < 128).any()
    assert (sheet[2 * STRIP : 2 * STRIP + 10] == (255, 0, 0)).all()


def test_width_keeps_the_aspect():
    sheet = contact_sheet([SheetRow([RED])], width=60)
    assert sheet.shape == (30, 60, 3)
