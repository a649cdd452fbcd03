"""``celpaint weights``, and coloring with what it made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from celpaint.cli.app import run
from celpaint.weights.store import write_network
from official_files import Official


def convert(official: Official, out: Path, *more: str) -> int:
    files = ["--svd", str(official.svd), "--lvcd", str(official.lvcd)]
    return run(["weights", "convert", *files, "--out", str(out), *more])


def test_official_files_are_converted_and_color_a_shot(
    official: Official, tmp_path: Path, shot: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(official, tmp_path / "lvcd") == 0
    said = capsys.readouterr()
    assert said.out == f"weights: {tmp_path / 'lvcd'}\n"
    assert "controlnet: " in said.err
    lines, key = shot
    colored = ["colorize", str(lines), "-r", str(key), "-o", str(tmp_path / "painted"), "--method", "lvcd"]
    colored += ["--weights", str(tmp_path / "lvcd"), "--steps", "1", "--size", "64x32", "--device", "cpu", "--quiet"]
    assert run(colored) == 0
    painted = sorted((tmp_path / "painted").iterdir())
    assert [p.name for p in painted] == [p.name for p in sorted(lines.iterdir())]
    with Image.open(painted[-1]) as picture:
        assert picture.size == (96, 64)
        assert len(picture.getcolors(96 * 64) or ()) > 100


def test_convert_refuses_in_one_sentence(
    official: Official, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(official, official.svd.parent) == 2
    assert "exists; wanted a new or empty folder" in capsys.readouterr().err
    assert run(["weights", "convert", "--svd", "nothing", "--lvcd", "nothing", "--out", str(tmp_path / "x")]) == 2
    assert "there is no file 'nothing'" in capsys.readouterr().err


def test_list_names_what_is_here_and_where_to_get_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "list"]) == 0
    said = capsys.readouterr().out
    for wanted in ("matcher/small", "svd.safetensors", "lvcd.ckpt", "lvcd-fp16.safetensors", "license", "huggingface"):
        assert wanted in said
    assert run(["weights", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {each["file"] for each in listed["published"]} == {
        "svd.safetensors",
        "lvcd.ckpt",
        "lvcd-fp16.safetensors",
        "v2*.safetensors",
        "open_clip_model.safetensors",
    }


def info(path: Path | str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["weights", "info", str(path)]) == 0
    return capsys.readouterr().out


def test_info_tells_what_a_file_is(official: Official, capsys: pytest.CaptureFixture[str]) -> None:
    said = info(official.svd, capsys)
    assert "Stable Video Diffusion, original format" in said
    assert "Stability AI" in said
    assert "float16" in said
    said = info(official.lvcd, capsys)
    assert "LVCD's checkpoint" in said
    assert "none stated by its authors" in said
    assert "celpaint weights convert" in said


def test_info_tells_what_a_folder_is(official: Official, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = info(official.folder, capsys)
    assert "weights of the method lvcd" in said
    assert "first_stage_encoder" in said
    assert "Stability AI" in said
    assert "steps               25" in said
    shutil.copytree(official.folder / "unet", tmp_path / "unet")
    assert "Stable Video Diffusion, diffusers' format" in info(tmp_path, capsys)
    said = info("matcher/small", capsys)
    assert "weights of the method matcher" in said
    assert "license: Apache-2.0" in said


def test_info_lists_tensors(official: Official, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "info", str(official.lvcd), "--tensors"]) == 0
    assert "  control_model.zero_convs.0.0.weight  32x32x1x1  float16\n" in capsys.readouterr().out
    assert run(["weights", "info", str(official.folder), "--json", "--tensors"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["networks"][0]["tensors"]["conv_out.bias"] == [[4], "float16"]


def test_info_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pt")
    assert "a checkpoint of some other network" in info(tmp_path / "other.pt", capsys)
    assert run(["weights", "info", "no/such/thing"]) == 2
    assert "there is no file or folder 'no/such/thing'" in capsys.readouterr().err
    write_network(tmp_path / "net", {"_class_name": "Flux"}, {"a": torch.zeros(1)})
    assert run(["weights", "info", str(tmp_path / "net")]) == 2
    assert "describes a Flux" in capsys.readouterr().err


@pytest.mark.parametrize("which", ["svd", "lvcd", "folder"])
def test_verify_finds_nothing_wrong(official: Official, which: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "verify", str(getattr(official, which))]) == 0
    said = capsys.readouterr().out
    assert "FAULT" not in said
    assert "names and shapes" in said
    assert "no NaN" in said


def test_the_packaged_weights_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    from celpaint.weights.registry import packaged

    for method in packaged():
        assert run(["weights", "verify", f"{method}/small"]) == 0, capsys.readouterr()
        said = capsys.readouterr().out
        assert "sha256 of" in said
        assert "no SHA256SUMS" not in said


def damage(official: Official, out: Path, how: str) -> None:
    shutil.copytree(official.folder, out)
    file = next((out / "vae").glob("*.safetensors"))
    if how == "bytes":
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    elif how == "missing":
        shutil.rmtree(out / "image_encoder")
    elif how == "extra":
        shutil.copy(file, out / "vae" / "more.safetensors")
    elif how == "gone":
        (out / "vae" / "config.json").unlink()
    else:
        from celpaint.weights.store import read_config, read_tensors

        tensors, config = read_tensors(out / "vae"), read_config(out / "vae")
        tensors = {k: v.clone() for k, v in tensors.items()}
        if how == "nan":
            tensors["quant_conv.bias"][0] = float("nan")
        else:
            del tensors["quant_conv.bias"]
        write_network(out / "vae", config, tensors, name="diffusion_pytorch_model")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("bytes", "does not match SHA256SUMS"),
        ("missing", "no folder image_encoder"),
        ("extra", "is not listed in SHA256SUMS"),
        ("gone", "config.json' is missing"),
        ("nan", "NaN or infinity in quant_conv.bias"),
        ("tensor", "1 missing (quant_conv.bias)"),
    ],
)
def test_verify_names_the_damage(
    official: Official, tmp_path: Path, how: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(official, tmp_path / "w", how)
    assert run(["weights", "verify", str(tmp_path / "w")]) == 2
    heard = capsys.readouterr()
    assert "FAULT" in heard.out
    assert said in heard.err


def test_verify_of_a_damaged_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": torch.full((2,), float("nan"))}, tmp_path / "other.pt")
    assert run(["weights", "verify", str(tmp_path / "other.pt")]) == 2
    assert "some other network" in capsys.readouterr().err
