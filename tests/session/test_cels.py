"""What the artist painted survives: transparency, ink, a painting in its own frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import celpaint
from celpaint.types import Frame

SIZE = (96, 160)
COAT, SKIN = (200, 60, 70), (250, 214, 186)


def cel(x: int) -> tuple[np.ndarray, np.ndarray]:
    """A figure with a hole that paper shows through, pale at the frame's edge: RGBA ``H W 4``, and lines ``H W``."""
    painting = np.zeros((*SIZE, 4), np.uint8)
    lines = np.full(SIZE, 255, np.uint8)
    for center, radius, color in (((x, 60), 40, COAT), ((x, 22), 18, SKIN)):
        cv2.circle(painting, center, radius, (*color, 255), -1)
        cv2.circle(lines, center, radius, 255, -1)
        cv2.circle(lines, center, radius, 0, 2)
    cv2.rectangle(painting, (0, 70), (30, 95), (252, 252, 250, 255), -1)
    cv2.rectangle(lines, (0, 70), (30, 95), 255, -1)
    cv2.rectangle(lines, (-4, 70), (30, 99), 0, 2)
    cv2.circle(painting, (x, 66), 14, (0, 0, 0, 0), -1)
    cv2.circle(lines, (x, 66), 14, 0, 2)
    painting[lines == 0] = (0, 0, 0, 255)
    return painting, lines


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    (tmp_path / "lines").mkdir()
    for number, x in enumerate((70, 76, 82), 1):
        painting, lines = cel(x)
        Image.fromarray(lines).save(tmp_path / "lines" / f"A_{number:04d}.png")
        Image.fromarray(painting).save(tmp_path / f"truth_{number}.png")
    return tmp_path


def colored(shot: Path, reference: str, **options: object) -> list[np.ndarray]:
    celpaint.render(shot / "lines", shot / "out", reference=shot / reference, method="matcher", **options)
    return [np.asarray(Image.open(shot / "out" / f"A_{n:04d}.png")) for n in (1, 2, 3)]


def test_a_painted_cel_comes_back_bit_for_bit(shot: Path) -> None:
    first = colored(shot, "truth_1.png")[0]
    np.testing.assert_array_equal(first, np.asarray(Image.open(shot / "truth_1.png")))


@pytest.mark.parametrize("flat", ["on", "off"])
def test_holes_and_outside_are_transparent_and_pale_paint_is_not(shot: Path, flat: str) -> None:
    for number, frame in enumerate(colored(shot, "truth_1.png", flat=flat), 1):
        truth, lines = cel(70 + 6 * (number - 1))
        assert frame.shape == (*SIZE, 4)
        away = cv2.erode((lines > 200).astype(np.uint8), np.ones((5, 5))) > 0
        wrong = (frame[..., 3] > 127) != (truth[..., 3] > 127)
        assert float(np.mean(wrong[away])) < 0.01, number


def test_an_alpha_channel_of_zeros_over_a_painting_is_ignored(shot: Path, caplog: pytest.LogCaptureFixture) -> None:
    painting = np.asarray(Image.open(shot / "truth_1.png")).copy()
    painting[painting[..., 3] == 0] = 255
    painting[..., 3] = 0
    Image.fromarray(painting).save(shot / "zeros.png")
    first = colored(shot, "zeros.png")[0]
    assert any("alpha channel" in record.message for record in caplog.records)
    np.testing.assert_array_equal(first[..., :3], painting[..., :3])


def test_an_alpha_channel_of_zeros_over_drawings_is_ignored(shot: Path) -> None:
    for number in (1, 2, 3):
        file = shot / "lines" / f"A_{number:04d}.png"
        gray = np.asarray(Image.open(file))
        Image.fromarray(np.dstack([gray, gray, gray, np.zeros_like(gray)])).save(file)
    truth = np.asarray(Image.open(shot / "truth_1.png").convert("RGB"))
    Image.fromarray(truth).save(shot / "opaque.png")
    second = colored(shot, "opaque.png")[1]
    assert (second[..., 3] == 255).all()
    assert np.abs(second[60, 105, :3].astype(int) - COAT).max() < 60


def test_white_lines_stay_white(tmp_path: Path) -> None:
    """A drawing in black, its painting with white lines: the others have white lines too."""
    frames = []
    for x in (70, 78):
        painting, lines = cel(x)
        frames.append(np.repeat(lines[..., None], 3, 2).astype(np.float32) / 255)
        if x == 70:
            rgb = np.where(painting[..., 3:] > 0, painting[..., :3], (120, 150, 180)).astype(np.float32) / 255
            rgb[lines == 0] = 1.0
            reference = Frame(rgb)
    second = list(celpaint.colorize(np.stack(frames), reference=reference, method="matcher"))[1].rgb
    _, lines = cel(78)
    assert float(np.median(second[lines == 0].min(1))) > 0.95


def test_a_shifted_painting_is_moved_back_and_said(shot: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    painting = np.asarray(Image.open(shot / "truth_1.png").convert("RGBA"))
    flat = np.where(painting[..., 3:] > 0, painting[..., :3], 235).astype(np.uint8)
    moved = cv2.warpAffine(flat, np.float32([[1, 0, 4], [0, 1, 2]]), SIZE[::-1], borderMode=cv2.BORDER_REPLICATE)
    Image.fromarray(moved).save(shot / "moved.png")
    first = colored(shot, "moved.png")[0]
    assert any("4.0 pixels to the right, 2.0 pixels down" in record.message for record in caplog.records)
    inside = (slice(6, -6), slice(8, -8))
    np.testing.assert_array_equal(first[inside][..., :3], flat[inside])
