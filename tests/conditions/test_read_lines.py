from collections.abc import Callable

import cv2
import numpy as np
import pytest
from drawings import Scene, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from celpaint.conditions.lines import Look, classify, classify_clip, extract_lines, flatten, read_lines, working_lines
from celpaint.types import Frame, LineArt

SOFT, BINARY, WIDE = scene(), scene(soft=False), scene(270, 480, pen=3)
SCENES = pytest.mark.parametrize("drawn", [SOFT, BINARY, WIDE], ids=["soft", "binary", "wide"])


def on_white(art: LineArt) -> np.ndarray:
    covered = art.line[..., None]
    return 1 - covered + covered * art.ink


def transparent(drawn: Scene) -> Frame:
    alpha = drawn.line + drawn.trace
    ink = np.where((drawn.trace > drawn.line)[..., None], np.float32([1, 0, 0]), np.float32([0, 0, 0]))
    return Frame((ink * (alpha > 0)[..., None]).astype(np.float32), alpha)


def scanned(drawn: Scene, grain: float = 0.02) -> np.ndarray:
    """Gray-yellow paper, lit from the left, with grain."""
    h, w = drawn.line.shape
    y, x = np.mgrid[:h, :w].astype(np.float32) / h
    light = (0.92 - 0.15 * x + 0.06 * y)[..., None] * np.float32([1, 0.98, 0.92])
    noise = np.random.default_rng(3).normal(0, grain, (h, w, 1))
    return np.clip((0.08 + 0.92 * drawn.drawing()) * light + noise, 0, 1).astype(np.float32)


@SCENES
def test_black_on_white_is_read_as_coverage_and_black(drawn: Scene):
    art = read_lines(Frame(drawn.drawing()))
    assert art.drawn
    np.testing.assert_allclose(art.line, drawn.line + drawn.trace, atol=1e-6)
    np.testing.assert_allclose(on_white(art), drawn.drawing(), atol=1e-6)
    assert art.ink[drawn.trace == 0].max() < 1e-5


@SCENES
def test_white_on_black_reads_as_its_negative(drawn: Scene):
    white_on_black = 1 - drawn.drawing(trace=(0, 0, 0))
    assert classify(Frame(white_on_black)).kind == "white on black"
    art = read_lines(Frame(white_on_black))
    np.testing.assert_allclose(art.line, drawn.line + drawn.trace, atol=1e-6)
    np.testing.assert_allclose(on_white(art), 1 - white_on_black, atol=1e-6)


def test_a_trace_line_keeps_its_hue_on_black_paper():
    picture = np.zeros((120, 160, 3), np.float32)
    picture[20:100, 40:42] = 1
    picture[20:100, 80:82] = (1, 0, 0)
    art = read_lines(Frame(picture), look=Look("white on black"))
    np.testing.assert_array_equal(art.ink[50, 80], [1, 0, 0])
    assert art.trace[50, 80] == 1
    assert art.trace[50, 40] == 0


@SCENES
def test_ink_on_transparent_paper_is_its_alpha(drawn: Scene):
    frame = transparent(drawn)
    assert classify(frame).kind == "on transparent"
    art = read_lines(frame)
    np.testing.assert_array_equal(art.line, frame.alpha)
    np.testing.assert_allclose(on_white(art), flatten(frame), atol=1e-6)
    np.testing.assert_array_equal(art.trace[drawn.line == 0], drawn.trace[drawn.line == 0])


def test_white_ink_on_transparent_paper_is_seen():
    frame = Frame(np.ones((*SOFT.line.shape, 3), np.float32), SOFT.line)
    assert classify(frame).kind == "on transparent"
    np.testing.assert_array_equal(read_lines(frame).line, SOFT.line)


def test_a_cel_with_white_paint_on_transparency_is_read_on_white():
    alpha = np.zeros_like(SOFT.line)
    cv2.circle(alpha, (160, 90), 70, 1.0, -1)
    frame = Frame(SOFT.drawing(), alpha)
    assert classify(frame).kind == "black on white"
    np.testing.assert_allclose(on_white(read_lines(frame)), flatten(frame), atol=1e-6)


@pytest.mark.parametrize("hue", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.9, 0.2, 0.2), (0.1, 0.4, 0.95)])
def test_saturated_lines_are_trace(hue: tuple[float, float, float]):
    art = read_lines(Frame(SOFT.drawing(trace=hue)))
    alone = (SOFT.trace > 0.3) & (SOFT.line == 0)
    np.testing.assert_allclose(art.trace[alone], art.line[alone], atol=1e-5)
    far = cv2.dilate(SOFT.trace, np.ones((7, 7), np.uint8)) == 0
    assert art.trace[far].max() == 0


def on_black(drawn: Scene, **inks: tuple[float, ...]) -> Frame:
    drawing = drawn.drawing(**inks)
    return Frame(drawing + (1 - drawing.min(axis=2) - drawing.max(axis=2))[..., None])


def on_transparent(drawn: Scene, **inks: tuple[float, ...]) -> Frame:
    alpha = drawn.line + drawn.trace
    return Frame(np.float32(1 - (1 - drawn.drawing(**inks)) / np.maximum(alpha, 1e-6)[..., None]), alpha)


def on_paper(drawn: Scene, **inks: tuple[float, ...]) -> Frame:
    return Frame(drawn.drawing(**inks))


@pytest.mark.parametrize("lay", [on_paper, on_black, on_transparent])
@pytest.mark.parametrize("trace", [(0, 0, 1), (1, 0, 0)], ids=["one color", "two colors"])
def test_saturated_lines_are_ink_where_there_is_no_other(lay: Callable[..., Frame], trace: tuple[float, ...]):
    frame = lay(SOFT, ink=(0, 0, 1), trace=trace)
    assert classify(frame).colored
    art = read_lines(frame)
    assert art.trace.max() == 0
    np.testing.assert_allclose(art.line, SOFT.line + SOFT.trace, atol=1e-6)
    np.testing.assert_allclose(on_white(art), SOFT.drawing(ink=(0, 0, 1), trace=trace), atol=1e-6)


def test_pale_blue_pencil_covers_fully_and_gives_the_drawing_back():
    drawing = WIDE.drawing(ink=(0.35, 0.6, 0.95), trace=(0.35, 0.6, 0.95))
    art = read_lines(Frame(drawing))
    np.testing.assert_allclose(art.line[WIDE.line == 1], 1, atol=1e-5)
    np.testing.assert_allclose(on_white(art), drawing, atol=1e-6)


def test_a_jpeg_drawing_in_blue_keeps_its_lines():
    blue = SOFT.drawing(ink=(0, 0, 1), trace=(0, 0, 1))[..., ::-1]
    _, packed = cv2.imencode(".jpg", (blue * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60])
    art = read_lines(Frame(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32) / 255))
    assert art.trace.max() == 0
    assert np.mean((art.line > 0.5) != (SOFT.line + SOFT.trace > 0.5)) < 0.01


def test_the_shot_says_whether_saturated_lines_are_trace():
    mixed, blue = Frame(SOFT.drawing()), on_paper(SOFT, ink=(0, 0, 1), trace=(1, 0, 0))
    assert classify_clip([mixed, blue, mixed]) == Look("black on white", False, 3, 3)
    assert classify_clip([blue, mixed, blue]) == Look("black on white", True, 3, 3)
    assert read_lines(blue, look=Look("black on white", False)).trace.max() == 1
    assert read_lines(mixed, look=Look("black on white", True)).trace.max() == 0


@pytest.mark.parametrize("ink", [(0.3, 0.15, 0.1), (0.2, 0.2, 0.2), (0.1, 0.1, 0.3), (0.5, 0.3, 0.2)])
def test_dark_colored_ink_is_ink_and_covers_fully(ink: tuple[float, float, float]):
    drawing = WIDE.drawing(ink=ink, trace=ink)
    art = read_lines(Frame(drawing))
    assert art.trace.max() == 0
    full = WIDE.line == 1
    np.testing.assert_allclose(art.line[full], 1, atol=1e-5)
    np.testing.assert_allclose(art.ink[full], np.broadcast_to(np.float32(ink), art.ink[full].shape), atol=1e-5)
    np.testing.assert_allclose(on_white(art), drawing, atol=1e-6)


def test_faint_pencil_is_lifted_but_gives_the_drawing_back():
    drawing = WIDE.drawing(ink=(0.45, 0.45, 0.45), trace=(0.45, 0.45, 0.45))
    art = read_lines(Frame(drawing))
    assert art.line[WIDE.line == 1].min() > 0.5
    np.testing.assert_allclose(on_white(art), drawing, atol=1e-6)


@pytest.mark.parametrize("tone", [0.95, 0.8, 0.6])
def test_gray_paper_becomes_white(tone: float):
    art = read_lines(Frame(SOFT.drawing() * np.float32(tone)))
    assert art.line[(SOFT.line + SOFT.trace) == 0].max() < 0.01
    assert np.abs(art.line - SOFT.line - SOFT.trace).max() < 0.03


def test_a_scan_loses_paper_light_and_grain_and_keeps_lines():
    frame = Frame(scanned(WIDE))
    assert classify(frame).kind == "black on white"
    art = read_lines(frame)
    paper = (WIDE.line + WIDE.trace) == 0
    assert art.line[paper].mean() < 0.002
    assert art.line[WIDE.line == 1].mean() > 0.95
    assert np.mean((art.line > 0.5) != (WIDE.line + WIDE.trace > 0.5)) < 0.005


def test_a_jpeg_drawing_stays_a_drawing():
    _, packed = cv2.imencode(".jpg", (WIDE.drawing() * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60])
    art = read_lines(Frame(cv2.imdecode(packed, cv2.IMREAD_COLOR).astype(np.float32) / 255))
    assert art.drawn
    assert np.mean((art.line > 0.5) != (WIDE.line + WIDE.trace > 0.5)) < 0.01


@pytest.mark.parametrize("paper", [1.0, 0.8, 0.0])
def test_an_empty_frame_is_a_drawing_without_ink(paper: float):
    frame = Frame(np.full((90, 160, 3), paper, np.float32))
    art = read_lines(frame)
    assert art.drawn
    assert art.line.max() < 0.01
    assert np.isfinite(art.ink).all()


def test_an_empty_transparent_frame_has_no_ink():
    frame = Frame(np.zeros((90, 160, 3), np.float32), np.zeros((90, 160), np.float32))
    assert classify(frame).kind == "on transparent"
    assert read_lines(frame).line.max() == 0


def test_pencil_tone_makes_no_painting():
    toned = WIDE.drawing()
    cv2.circle(toned, (400, 60), 40, (0.7, 0.7, 0.7), -1)
    toned = cv2.GaussianBlur(toned, (0, 0), 1)
    assert classify(Frame(toned)).kind == "black on white"
    np.testing.assert_allclose(on_white(read_lines(Frame(toned))), toned, atol=1e-6)


def paintings() -> dict[str, Frame]:
    painting = WIDE.painting()
    white = np.ones_like(painting)
    white[60:230, 150:330] = painting[60:230, 150:330]
    alpha = np.zeros_like(WIDE.line)
    alpha[60:230, 150:330] = 1
    return {
        "painted": Frame(painting),
        "without lines": Frame(WIDE.paint),
        "at night": Frame(painting * np.float32(0.3)),
        "without color": Frame(np.repeat(painting.mean(axis=2, keepdims=True), 3, axis=2)),
        "on white": Frame(white),
        "on transparent": Frame(painting, alpha),
        "one color": Frame(np.full((90, 160, 3), (0.1, 0.3, 0.9), np.float32)),
    }


@pytest.mark.parametrize("name", paintings())
def test_a_painting_is_one(name: str):
    frame = paintings()[name]
    assert classify(frame).kind == "painting"
    art = read_lines(frame)
    assert not art.drawn
    np.testing.assert_array_equal(art.ink, flatten(frame))


def test_mode_overrules_what_the_frame_looks_like():
    assert read_lines(Frame(WIDE.painting()), mode="keep").drawn
    assert not read_lines(Frame(WIDE.drawing()), mode="extract").drawn
    assert not read_lines(Frame(WIDE.drawing()), look=Look("painting")).drawn
    assert read_lines(Frame(WIDE.drawing()), mode="keep", look=Look("painting")).drawn


def test_the_majority_of_a_shot_decides_and_empty_frames_abstain():
    drawing, odd = Frame(SOFT.drawing()), Frame(1 - SOFT.drawing())
    black = Frame(np.zeros_like(odd.rgb))
    assert classify_clip([drawing, odd, drawing]).kind == "black on white"
    assert classify_clip([black, black, black, drawing]).kind == "black on white"
    assert classify_clip([black]).kind == "white on black"
    with pytest.raises(ValueError, match="at least one frame"):
        classify_clip([])


def test_an_opaque_frame_in_a_transparent_shot_is_judged_by_itself():
    art = read_lines(Frame(SOFT.drawing()), look=Look("on transparent"))
    np.testing.assert_allclose(art.line, SOFT.line + SOFT.trace, atol=1e-6)


def test_inputs_are_not_modified():
    for frame in (Frame(scanned(SOFT)), transparent(SOFT), Frame(1 - SOFT.drawing())):
        before = frame.rgb.copy()
        read_lines(frame)
        np.testing.assert_array_equal(frame.rgb, before)


PIXELS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)),
    elements=st.one_of(st.just(1.0), st.integers(0, 65535).map(lambda v: v / 65535)),
)


@settings(max_examples=60, deadline=None)
@given(PIXELS, st.booleans())
def test_any_picture_on_clean_paper_comes_back(pixels: np.ndarray, colored: bool):
    paper = np.ones((pixels.shape[0] * 4, pixels.shape[1] * 4, 3), np.float32)
    paper[: pixels.shape[0], : pixels.shape[1]] = pixels
    art = read_lines(Frame(paper), look=Look("black on white", colored))
    assert np.abs(on_white(art) - paper).max() < 1 / 255 / 16
    assert 0 <= art.line.min() <= art.line.max() <= 1
    assert 0 <= art.ink.min() <= art.ink.max() <= 1
    assert (art.trace <= art.line).all()
    again = read_lines(Frame(on_white(art)), look=Look("black on white", colored))
    np.testing.assert_allclose(again.line, art.line, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(PIXELS)
def test_every_small_picture_is_read_somehow(pixels: np.ndarray):
    art = read_lines(Frame(pixels))
    assert art.line.shape == pixels.shape[:2]
    assert art.ink.dtype == art.line.dtype == art.trace.dtype == np.float32
    assert np.isfinite(art.line).all()


def test_extracted_lines_are_where_the_drawn_ones_are():
    found = extract_lines(WIDE.painting())
    near = cv2.dilate(WIDE.line, np.ones((3, 3), np.uint8)) > 0.3
    assert found[WIDE.line == 1].mean() > 0.75
    assert np.sum((found > 0.5) & ~near) < 0.02 * np.sum(found > 0.5)


def test_extraction_finds_lines_in_the_dark_and_edges_of_equal_brightness():
    dark = np.full((120, 160, 3), 0.2, np.float32)
    dark[:, 80:82] = 0.03
    assert extract_lines(dark)[60, 80:82].max() > 0.5
    halves = np.full((120, 160, 3), (0.8, 0.2, 0.4), np.float32)
    halves[:, 80:] = (0.2, 0.8, 0.4)
    assert extract_lines(halves)[60, 77:83].max() > 0.5


def test_extraction_leaves_soft_shading_and_grain_alone():
    ramp = np.repeat(np.linspace(0.2, 0.9, 320, dtype=np.float32)[None, :, None], 180, axis=0).repeat(3, axis=2)
    grainy = ramp + np.random.default_rng(0).normal(0, 0.01, ramp.shape).astype(np.float32)
    assert extract_lines(grainy).max() < 0.1


@pytest.mark.parametrize("shrink", [2, 3, 4, 6.75, 12])
@pytest.mark.parametrize("lean", [0.0, 0.3, 1.0])
def test_a_thin_line_survives_shrinking(shrink: float, lean: float):
    side = 960
    large = np.zeros((side, side), np.uint8)
    cv2.line(large, (300, 0), (300 + round(lean * 600), side - 1), 255, 1, cv2.LINE_AA)
    small = working_lines(large.astype(np.float32) / 255, (round(side / shrink), round(side / shrink)))
    assert small.max(axis=1)[1:-1].min() > 0.5
    assert (small > 0.5).sum(axis=1).max() <= 3


def test_working_lines_keeps_size_range_and_paper():
    line = SOFT.line
    assert working_lines(line, line.shape) is line
    for size in ((45, 80), (90, 100), (180, 100), (360, 640), (100, 640), (97, 131)):
        resized = working_lines(line, size)
        assert resized.shape == size
        assert resized.dtype == np.float32
        assert 0 <= resized.min() <= resized.max() <= 1
        assert not working_lines(np.zeros_like(line), size).any()


def night(sky: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Frame:
    """A drawing two thirds of which are one solid tone: sky, hair and coat, with paper left for a face and a wall."""
    picture = np.ones((180, 320, 3), np.float32)
    picture[:110] = sky
    picture[110:, :90] = sky
    cv2.circle(picture, (200, 90), 46, (1.0, 1.0, 1.0), -1, cv2.LINE_AA)
    cv2.circle(picture, (200, 90), 46, (0.0, 0.0, 0.0), 2, cv2.LINE_AA)
    cv2.circle(picture, (200, 70), 30, sky, -1, cv2.LINE_AA)
    return Frame(picture)


def test_solid_blacks_are_line_art_and_a_dark_blue_night_is_a_painting():
    assert float(np.mean(night().rgb < 0.1)) > 0.6
    assert classify(night()).kind == "black on white"
    assert classify(night((0.05, 0.08, 0.3))).kind == "painting"


def test_soft_gray_shading_over_much_of_the_picture_is_a_painting():
    picture = night().rgb.copy()
    picture[:110] = np.linspace(0, 0.8, 320)[None, :, None]
    assert classify(Frame(picture)).kind == "painting"
