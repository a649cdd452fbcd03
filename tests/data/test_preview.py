"""The preview: a sheet and a film of what the synthesizer makes."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from celpaint.data.preview import write_preview
from celpaint.data.synthetic import toy_art
from celpaint.errors import InputError, OutputError
from celpaint.frames.contact_sheet import GAP, STRIP


def test_preview_writes_a_sheet_and_a_film(tmp_path: Path) -> None:
    art = toy_art(drawings=16, size=64)
    sheet, film = write_preview(art, tmp_path / "new", clips=2, height=48, width=64, seconds=0.25)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["film.mp4", "sheet.png"]
    with Image.open(sheet) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (STRIP + 2 * 24 + GAP, 7 * 32 + 6 * GAP, 3)
    first_lines = 5 * (32 + GAP)
    assert pixels[STRIP:, :32].std() > 10  # a frame
    assert pixels[STRIP:, first_lines:].mean() > 150  # black on white
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 2 * 6
    assert frames[0].shape == (48, 128, 3)


def test_preview_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        write_preview(tmp_path / "none.safetensors", tmp_path / "out")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="can't be written"):
        write_preview(
            toy_art(drawings=16, size=64), tmp_path / "file" / "out", clips=1, height=48, width=64, seconds=0.1
        )
