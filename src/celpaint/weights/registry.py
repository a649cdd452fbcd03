"""Where a method's weights are, and which there are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from celpaint.errors import WeightsError

__all__ = ["HUB_ID", "LVCD_LICENSE", "OFFICIAL", "PARTS", "SVD_LICENSE", "Official", "find_weights", "packaged"]

SVD_LICENSE = (
    "Stability AI's own license (at first for non-commercial research, later its Community License); "
    "not open source, read it on the model's page"
)
LVCD_LICENSE = "none stated by its authors: ask them before any use beyond your own study"

PARTS = ("unet", "controlnet", "vae", "line_vae", "first_stage_encoder", "image_encoder")
"""Folders of LVCD's weights that hold a network each."""

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
"""``owner/name``, with ``@revision`` where one is wanted."""


@dataclass(frozen=True)
class Official:
    """Published weights that can be converted. None of them are part of celpaint.

    Attributes:
        name: what to call them.
        what: what they are.
        repo: on the Hugging Face hub.
        file: in it.
        license: under which they may be used.
    """

    name: str
    what: str
    repo: str
    file: str
    license: str

    @property
    def page(self) -> str:
        """Where people read about it."""
        return f"https://huggingface.co/{self.repo}"


OFFICIAL = (
    Official(
        "svd",
        "Stable Video Diffusion, 14 frames: UNet, VAE, image encoder",
        "stabilityai/stable-video-diffusion-img2vid",
        "svd.safetensors",
        SVD_LICENSE,
    ),
    Official(
        "lvcd",
        "LVCD by its authors: ControlNet, trained part of the UNet",
        "luckyhzt/lvcd_pretrained_models",
        "lvcd.ckpt",
        LVCD_LICENSE,
    ),
    Official(
        "lvcd-fp16",
        "the same, pruned to half precision by Kijai",
        "Kijai/LVCD-pruned",
        "lvcd-fp16.safetensors",
        LVCD_LICENSE,
    ),
)
"""What `celpaint weights convert` reads."""


def packaged() -> dict[str, Path]:
    """The weights in the package, by method."""
    folder = Path(str(resources.files("celpaint.weights") / "packaged"))
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()} if folder.is_dir() else {}


def find_weights(method: str, name: str) -> Path:
    """The folder of a method's weights.

    Args:
        method: the method's name.
        name: ``small`` for those in the package, a folder, or a Hugging Face hub id ``owner/name[@revision]``, which is
            fetched once and kept in the hub's own cache.

    Raises:
        WeightsError: no such weights, or they can't be fetched.
        MissingExtra: a hub id, and the package that fetches it is not installed.
    """
    if name == "small":
        if method in (found := packaged()):
            return found[method]
        raise WeightsError(
            f"this version of celpaint has no small weights for the method {method}",
            todo=f"Give others with --weights DIR; `celpaint weights list` shows where there are some"
            f"{'' if method == 'matcher' else ', or take --method matcher'}.",
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise WeightsError(
            f"'{name}' is a file",
            wanted="a folder with config.json and safetensors files",
            todo="Make one with: celpaint weights convert --svd svd.safetensors --lvcd lvcd.ckpt --out DIR",
        )
    if HUB_ID.fullmatch(name):
        from celpaint.weights.hub import fetch

        return fetch(name)
    raise WeightsError(
        f"there are no weights '{name}' for the method {method}",
        wanted="'small', a folder with config.json and safetensors files, or a hub id like owner/name",
    )
