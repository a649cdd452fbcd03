"""What weights are, told from their names and shapes; whether they are whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celpaint.errors import CelpaintError, WeightsError
from celpaint.weights.convert.files import read_checkpoint
from celpaint.weights.registry import HUB_ID, LVCD_LICENSE, PARTS, SVD_LICENSE, find_weights, packaged
from celpaint.weights.store import (
    check_fit,
    check_numbers,
    check_sums,
    read_config,
    read_tensors,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Check", "Description", "Network", "describe", "locate", "stated_license", "verify"]


@dataclass(frozen=True)
class Network:
    """One network of some weights.

    Attributes:
        name: of its folder, or of its part of a file.
        config: its settings, where they are stored.
        tensors: name -> (shape, number format), such as ``((320, 8, 3, 3), "float16")``.
    """

    name: str
    config: Mapping[str, Any]
    tensors: Mapping[str, tuple[tuple[int, ...], str]]

    @property
    def parameters(self) -> int:
        """Numbers in all its tensors."""
        return sum(prod(shape) for shape, _ in self.tensors.values())

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Number formats, the commonest first."""
        counts: Counter[str] = Counter()
        for shape, kind in self.tensors.values():
            counts[kind] += prod(shape)
        return tuple(kind for kind, _ in counts.most_common())


@dataclass(frozen=True)
class Description:
    """What some weights are.

    Attributes:
        path: the file or folder.
        kind: what its names and shapes say it is.
        use: what it is good for.
        license: of the weights, as far as it is known.
        bytes: on disk.
        networks: what it holds.
        card: what is written beside it.
    """

    path: Path
    kind: str
    use: str
    license: str
    bytes: int
    networks: tuple[Network, ...]
    card: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: it was.
        problem: what is wrong with it, empty where nothing is.
    """

    what: str
    problem: str = ""


def locate(name: str) -> Path:
    """A file, a folder, ``small`` or ``METHOD/small`` of the package, or a hub id.

    Raises:
        WeightsError: none of these.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    method, _, which = name.partition("/")
    if which == "small" or name == "small":
        return find_weights("matcher" if name == "small" else method, "small")
    if HUB_ID.fullmatch(name):
        return find_weights("lvcd", name)
    raise WeightsError(
        f"there is no file or folder '{name}'",
        wanted=f"a path, a hub id like owner/name, or {' or '.join(f'{m}/small' for m in packaged())}",
    )


_UNET, _CONTROL = "model.diffusion_model.", "control_model."
_FIRST_STAGE, _CLIP, _CONDITIONER = (
    "first_stage_model.",
    "conditioner.embedders.0.",
    "conditioner.embedders.3.encoder.",
)
_PREFIXES = {
    "UNet": _UNET,
    "ControlNet": _CONTROL,
    "VAE": _FIRST_STAGE,
    "image encoder": _CLIP,
    "condition encoder": _CONDITIONER,
}
_CONVERT = "celpaint weights convert --svd svd.safetensors --lvcd lvcd.ckpt --out DIR"


def describe(path: Path) -> Description:
    """Look at a checkpoint file, a folder of networks or the folder of one.

    Raises:
        WeightsError: it is none of these, or broken.
    """
    return _describe_folder(path) if path.is_dir() else _describe_file(path)


def _describe_file(path: Path) -> Description:
    tensors = read_checkpoint(path)
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        group = next((name for name, prefix in _PREFIXES.items() if key.startswith(prefix)), "other")
        groups.setdefault(group, {})[key] = value
    if "ControlNet" in groups:
        kind, use, license = "LVCD's checkpoint", f"convert it: {_CONVERT}", LVCD_LICENSE
    elif {"UNet", "VAE"} <= groups.keys():
        kind, use, license = "Stable Video Diffusion, original format", f"convert it: {_CONVERT}", SVD_LICENSE
    else:
        kind, use, license = "a checkpoint of some other network", "none in celpaint", "unknown"
    networks = tuple(_network(name, {}, groups[name]) for name in (*_PREFIXES, "other") if name in groups)
    return Description(path, kind, use, license, path.stat().st_size, networks)


def _describe_folder(folder: Path) -> Description:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    parts = [part for part in PARTS if (folder / part).is_dir()]
    networks = tuple(_network(part, read_config(folder / part), read_tensors(folder / part)) for part in parts)
    if "controlnet" in parts:
        from celpaint.weights.lvcd import Card

        card = vars(Card.read(folder))
        own = "line_vae" in parts
        license = stated_license(folder) if own else f"SVD: {SVD_LICENSE}; LVCD: {LVCD_LICENSE}"
        use = f"celpaint colorize ... --method lvcd --weights '{folder}'"
        return Description(folder, "weights of the method lvcd", use, license, size, networks, card)
    if "unet" in parts:
        use = f"convert it: celpaint weights convert --svd '{folder}' --lvcd lvcd.ckpt --out DIR"
        return Description(folder, "Stable Video Diffusion, diffusers' format", use, SVD_LICENSE, size, networks)
    config = read_config(folder)
    kind, _ = _single(config)
    use = (
        f"celpaint colorize ... --method matcher --weights '{folder}'" if "matcher" in kind else "part of other weights"
    )
    network = _network(folder.name, config, read_tensors(folder))
    return Description(folder, kind, use, stated_license(folder), size, (network,))


def _network(name: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Network:
    described = {k: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in sorted(tensors.items())}
    return Network(name, config, described)


def stated_license(folder: Path) -> str:
    """The license that the card in a folder of weights states."""
    card = folder / "README.md"
    if card.is_file():
        paragraphs = card.read_text(encoding="utf-8").split("\n\n")
        for paragraph in paragraphs:
            if "license" in paragraph.lower() or "license" in paragraph.lower():
                sentence = " ".join(paragraph.split())
                return sentence.partition(": ")[2].partition(". ")[0].rstrip(".") or sentence
    return "none stated"


def _single(config: Mapping[str, Any]) -> tuple[str, Callable[[], nn.Module]]:
    """What the config of a folder with one network describes, and how to build it."""
    name = config.get("_class_name")
    if name == "LineVAE":
        return "a line-aware autoencoder", _part("line_vae", config)[1]
    if name is None:
        import torch

        from celpaint.models.matcher.network import Matcher

        def build() -> nn.Module:
            try:
                with torch.device("meta"):
                    return Matcher(**config)
            except (TypeError, ValueError) as error:
                raise WeightsError(f"config.json does not describe a matcher ({error})") from None

        return "weights of the method matcher", build
    raise WeightsError(
        f"config.json describes a {name}", wanted="weights of a method of celpaint, or a checkpoint to convert"
    )


def verify(path: Path) -> Iterator[Check]:
    """Look whether weights are whole: checksums, names and shapes, numbers. Takes the memory of one tensor.

    Yields:
        One check after the other.

    Raises:
        WeightsError: what this is can't be told.
    """
    if path.is_file():
        yield from _verify_file(path)
        return
    parts = [part for part in PARTS if (path / part).is_dir()]
    if not parts:
        yield from _verify_network(path, _single)
        return
    for part in parts:
        yield from _verify_network(path / part, partial(_part, part))
    if "controlnet" in parts:
        absent = [name for name in ("unet", "image_encoder") if name not in parts]
        if not {"vae", "line_vae"} & set(parts):
            absent.append("vae")
        yield Check("all parts of LVCD", f"no folder {', '.join(absent)} in '{path}'" if absent else "")


def _part(name: str, config: Mapping[str, Any]) -> tuple[str, Callable[[], nn.Module]]:
    """The network of a part, as :func:`_single` gives it."""
    from celpaint.weights.lvcd import build_part

    return name, lambda: build_part(name, config, source=f"{name}/config.json")


def _verify_network(
    folder: Path, what: Callable[[Mapping[str, Any]], tuple[str, Callable[[], nn.Module]]]
) -> Iterator[Check]:
    try:
        compared = check_sums(folder)
        yield Check(f"{folder.name}: sha256 of {compared} files" if compared else f"{folder.name}: no SHA256SUMS")
    except WeightsError as error:
        yield Check(f"{folder.name}: sha256", str(error))
    try:
        tensors = read_tensors(folder)
        _, build = what(read_config(folder))
        network = build()
    except WeightsError as error:
        yield Check(f"{folder.name}: config and files", str(error))
        return
    yield _check(f"{folder.name}: names and shapes of {len(tensors)} tensors", check_fit, network, tensors, folder)
    yield _check(f"{folder.name}: no NaN", check_numbers, tensors, folder)


def _verify_file(path: Path) -> Iterator[Check]:
    found = describe(path)
    tensors = read_checkpoint(path)
    from celpaint.weights.convert import lvcd
    from celpaint.weights.convert.official import original_parts
    from celpaint.weights.lvcd import build_part

    yield Check(f"{found.kind}, {len(tensors)} tensors")
    if any(key.startswith(_CONTROL) for key in tensors):
        control = {k.removeprefix(_CONTROL): v for k, v in tensors.items() if k.startswith(_CONTROL)}

        def fits() -> None:
            config = lvcd.controlnet_config(control)
            network = build_part("controlnet", config.to_dict(), source=path)
            check_fit(network, lvcd.controlnet_tensors(control, config.layers_per_block), source=path)
            lvcd.trained_unet_tensors(tensors, config.layers_per_block)

        yield _check("controlnet: names and shapes", fits)
    elif any(key.startswith(_FIRST_STAGE) for key in tensors):
        try:
            parts = original_parts(tensors, path)
        except WeightsError as error:
            yield Check("names", str(error))
            return
        for name, part in parts.items():
            network = build_part(name, part.config, source=path)
            yield _check(f"{name}: names and shapes", check_fit, network, part.tensors, path)
    else:
        yield Check("architecture", f"'{path}' is {found.kind}")
    yield _check("no NaN", check_numbers, tensors, path)


def _check(what: str, look: Callable[..., None], *given: Any) -> Check:
    """Run one look; its last argument is what to call the weights."""
    try:
        look(*given[:-1], source=given[-1]) if given else look()
    except CelpaintError as error:
        return Check(what, str(error))
    return Check(what)
