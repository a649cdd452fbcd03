"""Official files -> a folder: everything in its place, nothing taken that does not belong."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from celpaint.errors import DiskFull, OutputError, WeightsError
from celpaint.methods.lvcd.convert.official import convert
from celpaint.methods.lvcd.weights import Networks
from celpaint.models.image_encoder import ClipEmbedding, LatentEmbedding
from celpaint.models.vae import VideoVAE
from celpaint.weights.convert import svd
from celpaint.weights.convert.files import read_checkpoint
from celpaint.weights.store import read_tensors, sha256
from official_files import Official, lvcd_tensors
from parity.rule import weights
from parity.test_parity_forward import MODES, run

PARITY = Path(__file__).parents[1] / "parity"


@pytest.fixture(scope="module")
def converted(official: Official) -> Networks:
    networks = Networks.load(official.folder)
    for network in (networks.unet, networks.controlnet, networks.codec, networks.embed):
        network.float()
    return networks


@pytest.mark.parametrize("mode", MODES)
def test_converted_networks_give_the_official_numbers(converted: Networks, mode: str) -> None:
    forward = {
        key: value.float() / 255 if value.dtype == torch.uint8 else value
        for key, value in load_file(PARITY / "forward.safetensors").items()
    }
    out, denoised, control = run(converted, forward, mode)
    for seen, name in ((out, "unet_out"), (denoised, "denoised")):
        torch.testing.assert_close(seen, forward[f"{mode}.{name}"], atol=1e-4, rtol=0)
    assert len(control) == 13


def test_converted_autoencoder_gives_the_official_numbers(converted: Networks) -> None:
    sampling = load_file(PARITY / "sampling.safetensors")
    codec = converted.codec
    assert isinstance(codec, VideoVAE)
    assert isinstance(converted.embed, ClipEmbedding)
    with torch.inference_mode():
        torch.testing.assert_close(codec.encode(sampling["ref_image"]), sampling["cond_concat"], atol=1e-4, rtol=0)
        drawn = codec.sample(sampling["ref_image"], sampling["posterior_eps"])
        torch.testing.assert_close(drawn, sampling["first_cond"], atol=1e-4, rtol=0)


def test_the_folder_says_where_it_is_from(official: Official) -> None:
    card = json.loads((official.folder / "model_index.json").read_text())
    assert card["made_from"] == {f.name: sha256(f) for f in (official.svd, official.lvcd)}
    assert (card["steps"], card["micro"]) == (25, [6.0, 160.0, 0.0])
    readme = (official.folder / "README.md").read_text()
    assert "Stability AI" in readme
    assert sha256(official.lvcd) in readme
    assert not list(official.folder.parent.glob(".*"))


def test_half_precision_is_the_default_and_full_is_kept_where_asked(official: Official, tmp_path: Path) -> None:
    assert {t.dtype for t in read_tensors(official.folder / "unet").values()} == {torch.float16}
    convert(official.svd, official.lvcd, tmp_path / "full", dtype="fp32")
    full, half = (read_tensors(folder / "controlnet") for folder in (tmp_path / "full", official.folder))
    assert {t.dtype for t in full.values()} == {torch.float32}
    assert all(torch.equal(full[name], half[name].float()) for name in full)


def test_a_pruned_safetensors_will_do(official: Official, tmp_path: Path) -> None:
    save_file(lvcd_tensors(), tmp_path / "lvcd-fp16.safetensors")
    out = convert(official.svd, tmp_path / "lvcd-fp16.safetensors", tmp_path / "out")
    for part in ("unet", "controlnet"):
        a, b = read_tensors(out / part), read_tensors(official.folder / part)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_public_folder_will_do(official: Official, tmp_path: Path) -> None:
    """Diffusers' format: no encoder of the first stage, half copies beside full files, settings of no concern."""
    public = tmp_path / "public"
    for part in ("unet", "vae", "image_encoder"):
        shutil.copytree(official.folder / part, public / part, ignore=shutil.ignore_patterns("SHA256SUMS"))
    config = json.loads((public / "unet" / "config.json").read_text())
    del config["norm_eps"]
    (public / "unet" / "config.json").write_text(json.dumps(config | {"_diffusers_version": "0.24", "sample_size": 96}))
    full = next((public / "image_encoder").glob("*.safetensors"))
    shutil.copy(full, full.with_name("model.fp16.safetensors"))
    old = load_file(full) | {"vision_model.embeddings.position_ids": torch.arange(17)[None]}
    save_file(old, full)
    out = convert(public, official.lvcd, tmp_path / "out")
    networks = Networks.load(out)
    assert isinstance(networks.codec, VideoVAE)
    assert networks.codec.first_stage is None
    assert networks.unet.config.norm_eps == 1e-5
    assert not list(out.rglob("*.fp16.*"))


def test_without_an_image_encoder_the_token_is_zero_and_that_is_said(official: Official, tmp_path: Path) -> None:
    tensors = {k: v for k, v in load_file(official.svd).items() if not k.startswith(svd.CLIP)}
    save_file(tensors, tmp_path / "svd.safetensors")
    said: list[str] = []
    out = convert(tmp_path / "svd.safetensors", official.lvcd, tmp_path / "out", say=said.append)
    assert any("no image encoder" in line and "zero" in line for line in said)
    embed = Networks.load(out).embed
    assert isinstance(embed, LatentEmbedding)
    assert embed.float()(torch.randn(1, 4, 8, 16)).abs().max() == 0


def broken(official: Official, folder: Path, **changes: Tensor | None) -> Path:
    """svd.safetensors with tensors replaced, added, or (None) left out; ``__`` stands for a dot."""
    tensors = dict(load_file(official.svd))
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            del tensors[key]
        else:
            tensors[key] = value
    save_file(tensors, folder / "svd.safetensors")
    return folder / "svd.safetensors"


OUT = "model__diffusion_model__out__2__bias"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({OUT: None}, r"1 missing \(conv_out.bias\)"),
        ({OUT: torch.zeros(7)}, r"conv_out.bias is \(7,\), wanted \(4,\)"),
        ({OUT: torch.full((4,), float("nan"))}, "NaN or infinity in conv_out.bias"),
        ({OUT: torch.full((4,), 1e6)}, "too large for fp16"),
        ({OUT: torch.zeros(4, dtype=torch.int8)}, "conv_out.bias is stored as int8"),
        ({"model__diffusion_model__out__5__bias": torch.zeros(4)}, "'out.5.bias' is not a name in the UNet"),
        ({"model__diffusion_model__label_emb__0__0__weight": None}, "sizes of the network can't be read"),
        ({"first_stage_model__decoder__conv_in__weight": None}, "incomplete: sizes can't be read without"),
        ({"conditioner__embedders__0__open_clip__model__visual__proj": None}, "incomplete"),
        ({"conditioner__embedders__0__open_clip__model__visual__ln_post__bias": None}, "post_layernorm.bias"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_what_is_wrong_with_svd_is_named(
    official: Official, tmp_path: Path, changes: dict[str, Tensor | None], said: str
) -> None:
    with pytest.raises(WeightsError, match=said):
        convert(broken(official, tmp_path, **changes), official.lvcd, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["svd.safetensors"]


def test_tensors_of_no_known_part_are_left_out_and_that_is_said(official: Official, tmp_path: Path) -> None:
    path = broken(official, tmp_path, something__else=torch.zeros(2), model_ema__decay=torch.zeros(1))
    said: list[str] = []
    convert(path, official.lvcd, tmp_path / "out", say=said.append)
    assert [line for line in said if "no known part" in line] == [
        f"'{path}': 1 tensors of no known part are left out, such as something.else"
    ]


def test_files_in_each_others_place_are_told_apart(official: Official, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="looks like LVCD's checkpoint"):
        convert(official.lvcd, official.lvcd, tmp_path / "out")
    with pytest.raises(WeightsError, match=r"has no control_model\.\*"):
        convert(official.svd, official.svd, tmp_path / "out")
    with pytest.raises(WeightsError, match="no folder unet"):
        convert(tmp_path, official.lvcd, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("model.diffusion_model.input_blocks.1.1.proj_in.weight", torch.zeros(9, 9), "does not fit"),
        ("model.diffusion_model.input_blocks.10.1.proj_in.weight", torch.zeros(9, 9), "is no tensor of the UNet"),
        ("control_model.zero_convs.99.0.bias", torch.zeros(9), r"unexpected \(controlnet_down_blocks.99.bias\)"),
        ("control_model.input_hint_block.0.weight", None, "input_hint_block"),
    ],
)
def test_what_is_wrong_with_lvcd_is_named(
    official: Official, tmp_path: Path, name: str, value: Tensor | None, said: str
) -> None:
    tensors = lvcd_tensors()
    if value is None:
        tensors = {k: v for k, v in tensors.items() if "input_hint_block" not in k}
    else:
        tensors[name] = value
    save_file(tensors, tmp_path / "lvcd.safetensors")
    with pytest.raises(WeightsError, match=said):
        convert(official.svd, tmp_path / "lvcd.safetensors", tmp_path / "out")


def test_what_lvcd_leaves_untrained_is_said(official: Official, tmp_path: Path) -> None:
    tensors = {k: v for k, v in lvcd_tensors().items() if not ("diffusion_model" in k and "time_stack" in k)}
    save_file(tensors, tmp_path / "lvcd.safetensors")
    said: list[str] = []
    convert(official.svd, tmp_path / "lvcd.safetensors", tmp_path / "out", say=said.append)
    assert any("leaves 80 self-attention tensors" in line for line in said)


def test_nothing_is_written_over(official: Official, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        convert(official.svd, official.lvcd, tmp_path)
    with pytest.raises(OutputError, match="exists"):
        convert(official.svd, official.lvcd, tmp_path / "mine.txt")
    (tmp_path / "empty").mkdir()
    assert (convert(official.svd, official.lvcd, tmp_path / "empty") / "unet").is_dir()


def test_no_room(official: Official, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DiskFull, match=r"0\.00 GB free; wanted 0\.0\d GB"):
        convert(official.svd, official.lvcd, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


class Evil:
    """What a hostile pickle does."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.made,)


def test_a_pickle_that_wants_more_is_refused_and_never_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "callbacks": Evil(made)}, tmp_path / "evil.ckpt")
    with pytest.raises(WeightsError, match=r"asks for .*pathlib.*could run code.*safetensors") as refused:
        read_checkpoint(tmp_path / "evil.ckpt")
    assert str(tmp_path / "evil.ckpt") in str(refused.value)
    (tmp_path / "old.pkl").write_bytes(pickle.dumps({"a": Evil(made)}))
    with pytest.raises(WeightsError):
        read_checkpoint(tmp_path / "old.pkl")
    assert not made.exists()


@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
def test_plain_pickles_are_read(tmp_path: Path, old: bool) -> None:
    torch.save({"a": torch.arange(3), "note": "x"}, tmp_path / "a.pt", _use_new_zipfile_serialization=not old)
    assert read_checkpoint(tmp_path / "a.pt")["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"hello, I am no checkpoint at all", "no checkpoint"),
        (b"PK\x03\x04 cut off", "not a complete checkpoint"),
        (b"\x10\0\0\0\0\0\0\0{cut off", "not a complete safetensors file"),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(WeightsError, match=said):
        read_checkpoint(tmp_path / "x.ckpt")


def test_a_truncated_file_and_a_missing_one(official: Official, tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(official.svd.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        read_checkpoint(tmp_path / "cut.safetensors")
    (tmp_path / "cut.ckpt").write_bytes(official.lvcd.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="not a complete checkpoint"):
        read_checkpoint(tmp_path / "cut.ckpt")
    with pytest.raises(WeightsError, match="there is no file"):
        read_checkpoint(tmp_path / "none.ckpt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="contains no state dict"):
        read_checkpoint(tmp_path / "list.pt")


def test_memory_stays_below_a_copy(tmp_path: Path) -> None:
    """Memory of its own, beside pages mapped from the files: a shard (64 MiB), not the network (512 MiB)."""
    big = {k: torch.zeros(16, 1024, 1024, dtype=torch.float16) for k in "abcdefgh"}
    save_file(big, tmp_path / "big.safetensors")
    script = f"""
import re, threading, time, torch
from pathlib import Path
from celpaint.weights.store import write_network
from celpaint.weights.convert.files import read_checkpoint
def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
tensors = read_checkpoint(Path({str(tmp_path / "big.safetensors")!r}))
before, peak, done = anonymous(), 0.0, False
def watch():
    global peak
    while not done:
        peak = max(peak, anonymous())
        time.sleep(0.005)
thread = threading.Thread(target=watch)
thread.start()
write_network(Path({str(tmp_path / "out")!r}), {{}}, tensors, dtype=torch.float32, shard_bytes=2**26)
done = True
thread.join()
print(peak - before)
"""
    grown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert float(grown) < 200


def test_weights_rule_covers_everything_the_files_hold(official: Official) -> None:
    assert len(weights(svd.UNET)) == sum(key.startswith(svd.UNET) for key in read_checkpoint(official.svd))
