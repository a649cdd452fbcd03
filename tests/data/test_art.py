"""Turning vector and raster drawings into regions and lines."""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from celpaint.data import art as module
from celpaint.data.art import SIZE, Source, build, fetch, flatten, main_colors, notice, read_dances, sources
from celpaint.data.synthetic import Art
from celpaint.data.synthetic.art import COLORS, LINE
from celpaint.errors import InputError

FREE = {"CC-BY-4.0", "CC-BY-SA-4.0", "MIT", "Apache-2.0", "CC BY 4.0", "CC0 1.0", "of each style, below"}


def cel_of(packed: bytes) -> np.ndarray:
    return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(SIZE, SIZE)


def test_every_source_is_pinned_free_and_named() -> None:
    for source in sources():
        assert len(source.sha256) == 64
        assert source.license in FREE
        assert source.author
        for license, author in source.styles.values():
            assert license in FREE
            assert author
        assert source.package in notice()
        for held in source.held:
            assert held.startswith(source.style)
    held = [style for source in sources() for style in source.held]
    assert len([style for style in held if style.startswith("dancers/")]) == 2
    assert len(held) > 2


def test_an_svg_becomes_flat_regions_of_its_own_colors() -> None:
    body = '<rect width="10" height="20" fill="#ff0000"/><circle cx="14" cy="10" r="5" style="fill:#0000ff"/>'
    made = module._drawing([body], 20, 20, inked=False)
    assert made is not None
    palette, cels = made
    cel = cel_of(cels[0])
    regions = cel & (LINE - 1)
    colors = {tuple(palette[number].tolist()) for number in np.unique(regions) if number}
    assert colors == {(255, 0, 0), (0, 0, 255)}
    red, blue = ((regions > 0) & (palette[regions] == color).all(-1) for color in ([255, 0, 0], [0, 0, 255]))
    assert red.sum() / blue.sum() == pytest.approx((200 - 5) / (np.pi * 25 - 5), rel=0.1)
    assert 0.005 < (cel >= LINE).mean() < 0.03


def test_gradients_become_their_mean_and_faint_overlays_vanish() -> None:
    body = (
        '<defs><linearGradient id="g"><stop stop-color="#ff0000"/><stop stop-color="#0000ff"/></linearGradient></defs>'
        '<rect width="20" height="20" fill="url(#g)"/><rect width="20" height="9" fill="#00ff00" opacity="0.2"/>'
    )
    made = module._drawing([body], 20, 20, inked=False)
    assert made is not None
    palette, cels = made
    numbers = np.unique(cel_of(cels[0]) & (LINE - 1))
    assert [palette[n].tolist() for n in numbers if n] == [[127, 0, 127]]


def test_ink_becomes_lines_and_what_it_parts_meets() -> None:
    body = (
        '<rect x="2" y="2" width="36" height="36" fill="#ffcc00" stroke="#000" stroke-width="1"/>'
        '<path d="M20 2v36" stroke="#000" stroke-width="1" fill="none"/>'  # parts nothing in color
        '<circle cx="10" cy="10" r="3" fill="#000"/>'  # a blot
    )
    made = module._drawing([body], 40, 40, inked=True)
    assert made is not None
    palette, cels = made
    cel = cel_of(cels[0])
    regions, line = cel & (LINE - 1), cel >= LINE
    black = (palette[regions] == 0).all(-1) & (regions > 0)
    assert black.mean() == pytest.approx(np.pi * 9 / 40**2, rel=0.35)  # the blot alone
    middle = line[SIZE // 4 : 3 * SIZE // 4, SIZE // 2 - 8 : SIZE // 2 + 8]
    assert middle.any(1).mean() > 0.95  # the stroke within one region is a line
    assert middle.sum(1).max() <= 3  # and a thin one


def test_what_is_hardly_there_is_left_out() -> None:
    assert module._drawing(['<path d="M1 1L39 39" stroke="#f00" stroke-width="0.3"/>'], 40, 40, inked=False) is None
    assert module._drawing(["<g/>"], 40, 40, inked=False) is None


def test_more_colors_than_numbers_share_the_nearest() -> None:
    stripes = "".join(f'<rect x="{i}" width="1" height="99" fill="#{i * 2:02x}40{i:02x}"/>' for i in range(99))
    made = module._drawing([stripes], 99, 99, inked=False)
    assert made is not None
    palette, cels = made
    assert len(np.unique(cel_of(cels[0]) & (LINE - 1))) <= COLORS
    assert palette.shape == (COLORS, 3)


def test_raster_frames_become_their_flat_colors() -> None:
    frames = np.zeros((2, 60, 50, 4), np.uint8)
    frames[:, 10:50, 10:40] = [200, 30, 30, 255]
    frames[0, 20:40, 20:30] = [30, 30, 200, 255]
    frames[1, 20:40, 24:34] = [30, 30, 200, 255]
    frames[:, 9, 10:40] = [200, 30, 30, 120]  # an anti-aliased edge
    palette = main_colors(frames)
    assert palette[1].tolist() == [200, 30, 30]
    assert palette[2].tolist() == [30, 30, 200]
    assert not palette[3:].any()
    one, two = flatten(frames, palette, 120)
    assert one.shape == (120, 120)
    assert set(np.unique(one)) == {0, 1, 2}
    shift = np.flatnonzero((two == 2).any(0)).mean() - np.flatnonzero((one == 2).any(0)).mean()
    scale = (one == 2).any(1).sum() / 20
    assert shift == pytest.approx(4 * scale, abs=1.5)


def package(folder: Path, name: str, files: dict[str, bytes]) -> tuple[Path, str]:
    root = folder / "package"
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    archive = folder / name
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root, "package")
    return archive, hashlib.sha256(archive.read_bytes()).hexdigest()


def icons() -> bytes:
    shapes = {
        "ball": '<circle cx="8" cy="8" r="7" fill="#d33"/>',
        "ball-dark": '<circle cx="8" cy="8" r="7" fill="#311"/>',  # a skin tone
        "flag-of-nowhere": '<rect width="16" height="9" fill="#3d3"/>',
        "house": '<path d="M1 8l7-7 7 7v7H1z" fill="#33d"/>',
    }
    return json.dumps({"icons": {name: {"body": body} for name, body in shapes.items()}}).encode()


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "cache").mkdir()
    _, sha = package(tmp_path / "cache", "example-icons-1.0.0.tgz", {"icons.json": icons()})
    return Source("@example/icons", "1.0.0", sha, "MIT", "Nobody", "iconify", "icons", skip="flag")


def test_a_build_renders_once_and_goes_on_where_it_stopped(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "sources", lambda: (source, replace(source, style="held", held=("held",))))
    said: list[str] = []
    made = build(tmp_path / "art.safetensors", cache_dir=tmp_path / "cache", report=said.append)
    assert made.styles == ("held", "icons")
    assert len(made.split("train")) == len(made.split("validation")) == 2  # neither flags nor tones
    assert sum("rendering" in line for line in said) == 2
    assert "MIT" in (tmp_path / "art.NOTICE.txt").read_text()
    said.clear()
    again = build(tmp_path / "art.safetensors", cache_dir=tmp_path / "cache", report=said.append)
    assert not any("rendering" in line for line in said)
    assert np.array_equal(again.data, made.data)
    assert len(Art.load(tmp_path / "art.safetensors")) == 4


def test_another_archive_than_the_pinned_one_is_refused(source: Source, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sha256"):
        fetch(replace(source, sha256="0" * 64), tmp_path / "cache")


def test_a_package_that_cannot_be_fetched_is_named(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="npm is not installed"):
        fetch(replace(source, version="9.9.9"), tmp_path / "cache")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'no such version' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(InputError, match=r"could not fetch @example/icons 9.9.9 \(no such version\)"):
        fetch(replace(source, version="9.9.9"), tmp_path / "cache")


def test_a_style_whose_license_changed_is_refused(tmp_path: Path) -> None:
    definition = {"meta": {"license": {"name": "CC BY-NC 4.0"}}, "canvas": {"elements": [], "width": 9, "height": 9}}
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "style.json").write_text(json.dumps(definition))
    source = Source(
        "p", "1", "0", "of each style, below", "A", "dicebear", "d", styles={"style": ("CC0 1.0", "B")}, many=1
    )
    with pytest.raises(InputError, match="CC BY-NC"):
        list(module._dicebear(tmp_path, source, None))


def test_a_character_changes_its_looks_but_not_its_hair(tmp_path: Path) -> None:
    def shape(d: str, fill: object) -> dict[str, object]:
        return {"name": "path", "type": "element", "attributes": {"d": d, "fill": fill}}

    hair = {"type": "color", "name": "hair"}
    definition = {
        "meta": {"license": {"name": "CC0 1.0"}},
        "canvas": {
            "elements": [{"name": part, "type": "component"} for part in ("head", "hair", "eyes")],
            "width": 40,
            "height": 40,
        },
        "colors": {"hair": {"values": ["#aa5500"]}},
        "components": {
            "head": {"variants": {"a": {"elements": [shape("M5 5h30v30H5z", "#ffddbb")]}}},
            "hair": {"variants": {"a": {"elements": [shape("M5 5h30v8H5z", hair)]}}},
            "eyes": {
                "variants": {
                    "open": {"elements": [shape("M12 18h6v6h-6z", "#335577")]},
                    "shut": {"elements": [shape("M12 22h6v2h-6z", "#335577")]},
                    "wide": {"elements": [shape("M10 16h10v10h-10z", "#335577")]},
                }
            },
        },
    }
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "style.json").write_text(json.dumps(definition))
    source = Source("p", "1", "0", "x", "A", "dicebear", "d", styles={"style": ("CC0 1.0", "B")}, many=3)
    drawings = list(module._dicebear(tmp_path, source, None))
    assert [style for style, *_ in drawings] == ["d/style"] * 3
    _, palette, cels, moves = max(drawings, key=lambda drawing: len(drawing[2]))
    assert not moves
    assert len(cels) > 1
    regions = [cel_of(cel) & (LINE - 1) for cel in cels]
    brown = int(np.flatnonzero((palette == [0xAA, 0x55, 0]).all(1))[0])
    assert all(np.array_equal(region == brown, regions[0] == brown) for region in regions)
    assert any(not np.array_equal(region, regions[0]) for region in regions[1:])


def test_dances_are_cut_from_their_sheets(tmp_path: Path) -> None:
    import cv2

    sheets = tmp_path / "test" / "assets" / "sprite_sheets"
    sheets.mkdir(parents=True)
    sheet = np.zeros((10, 20, 4), np.uint8)
    sheet[:, :10] = [10, 20, 200, 255]  # BGRA: red
    cv2.imwrite(str(sheets / "bear_00.png"), sheet)
    frame = {
        "frame": {"x": 0, "y": 0, "w": 10, "h": 10},
        "spriteSourceSize": {"x": 3, "y": 5, "w": 10, "h": 10},
        "sourceSize": {"w": 30, "h": 40},
    }
    table = {"bear": {"hop": {"spritesheet": "bear_00.png", "frames": [frame, frame]}}}
    (sheets / "characters.json").write_text(json.dumps(table))
    dances = read_dances(tmp_path)
    frames = dances["bear"]["hop"]
    assert frames.shape == (2, 40, 30, 4)
    assert frames[0, 5, 3].tolist() == [200, 20, 10, 255]
    assert frames[0, 4, 3].tolist() == [0, 0, 0, 0]
