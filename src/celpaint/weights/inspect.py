"""Recognize weights by their names and shapes, and verify them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celpaint.errors import CelpaintError, WeightsError
from celpaint.weights.convert.files import read_checkpoint
from celpaint.weights.kinds import CheckpointKind, FolderKind, load_object
from celpaint.weights.registry import HUB_ID, find_weights, packaged, stated_license
from celpaint.weights.store import (
    check_fit,
    check_numbers,
    check_sums,
    read_config,
    read_tensors,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Catalog", "Check", "Description", "Network", "describe", "locate", "verify"]


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

    @classmethod
    def of(cls, what: str, look: Callable[[], None]) -> Check:
        """Look; the error that is raised is the problem."""
        try:
            look()
        except CelpaintError as error:
            return cls(what, str(error))
        return cls(what)


def locate(name: str, *, default: str, parts: Collection[str] = ()) -> Path:
    """A file, a folder, ``small`` or ``METHOD/small`` of the package, or a hub id.

    Args:
        default: the method that ``small`` alone means.
        parts: subfolders to fetch from the hub.

    Raises:
        WeightsError: none of these.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    method, _, which = name.partition("/")
    if which == "small" or name == "small":
        return find_weights(default if name == "small" else method, "small")
    if HUB_ID.fullmatch(name):
        return find_weights(default, name, parts=parts)
    raise WeightsError(
        f"there is no file or folder '{name}'",
        wanted=f"a path, a hub id like owner/name, or {' or '.join(f'{m}/small' for m in packaged())}",
    )


@dataclass(frozen=True)
class Catalog:
    """Every kind of weights that is known.

    Attributes:
        folders: kinds of folders, those that a method colors with first.
        checkpoints: kinds of foreign files, the most particular first.
    """

    folders: Sequence[FolderKind]
    checkpoints: Sequence[CheckpointKind]

    def folder(self, path: Path) -> FolderKind:
        """What a folder is.

        Raises:
            WeightsError: none of the kinds.
        """
        found = next((kind for kind in self.folders if kind.recognizes(path)), None)
        if found is None:
            name = read_config(path).get("_class_name", "network without a class name")
            raise WeightsError(
                f"'{path}': config.json describes a {name}",
                wanted="weights of a method of celpaint, or a checkpoint to convert",
            )
        return found

    def checkpoint(self, names: Collection[str]) -> CheckpointKind | None:
        """What a file with tensors of these names is; None where it is none of the kinds."""
        return next((kind for kind in self.checkpoints if kind.recognizes(names)), None)


def describe(path: Path, catalog: Catalog) -> Description:
    """Look at a checkpoint file, a folder of networks or the folder of one.

    Raises:
        WeightsError: it is none of these, or broken.
    """
    return _describe_folder(path, catalog) if path.is_dir() else _describe_file(path, catalog)


def _describe_file(path: Path, catalog: Catalog) -> Description:
    tensors = read_checkpoint(path)
    kind = catalog.checkpoint(tensors)
    title, use, license = "a checkpoint of some other network", "none in celpaint", "unknown"
    if kind is not None:
        title, use, license = kind.title, kind.use, kind.license
    prefixes = {} if kind is None else kind.prefixes
    groups: dict[str, dict[str, Tensor]] = {name: {} for name in (*prefixes, "other")}
    for key, value in tensors.items():
        group = next((name for name, prefix in prefixes.items() if key.startswith(prefix)), "other")
        groups[group][key] = value
    networks = tuple(_network(name, {}, group) for name, group in groups.items() if group)
    return Description(path, title, use, license, path.stat().st_size, networks)


def _describe_folder(folder: Path, catalog: Catalog) -> Description:
    kind = catalog.folder(folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    networks = tuple(_network(each.name, read_config(each), read_tensors(each)) for each in _networks(folder, kind))
    license = stated_license(folder) if kind.license is None else kind.license(folder)
    card = load_object(kind.card)(folder) if kind.card else {}
    return Description(folder, kind.title, kind.use.format(path=folder), license, size, networks, card)


def _networks(folder: Path, kind: FolderKind) -> list[Path]:
    """The folders of a folder that hold a network each."""
    return [folder / part for part in kind.parts if (folder / part).is_dir()] if kind.parts else [folder]


def _network(name: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Network:
    described = {k: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in sorted(tensors.items())}
    return Network(name, config, described)


def verify(path: Path, catalog: Catalog) -> Iterator[Check]:
    """Look whether weights are whole: checksums, names and shapes, numbers. Takes the memory of one tensor.

    Yields:
        One check after the other.

    Raises:
        WeightsError: what this is can't be told.
    """
    if path.is_file():
        yield from _verify_file(path, catalog)
        return
    kind = catalog.folder(path)
    for folder in _networks(path, kind):
        part = folder.name if kind.parts else ""
        yield from _verify_network(folder, part, load_object(kind.build))
    if kind.needs:
        absent = [" or ".join(group) for group in kind.needs if not any((path / part).is_dir() for part in group)]
        yield Check("all parts", f"no folder {', '.join(absent)} in '{path}'" if absent else "")


def _verify_network(folder: Path, part: str, build: Callable[..., nn.Module]) -> Iterator[Check]:
    try:
        compared = check_sums(folder)
        yield Check(f"{folder.name}: sha256 of {compared} files" if compared else f"{folder.name}: no SHA256SUMS")
    except WeightsError as error:
        yield Check(f"{folder.name}: sha256", str(error))
    try:
        tensors = read_tensors(folder)
        network = build(part, read_config(folder), folder / "config.json")
    except WeightsError as error:
        yield Check(f"{folder.name}: config and files", str(error))
        return
    what = f"{folder.name}: names and shapes of {len(tensors)} tensors"
    yield Check.of(what, lambda: check_fit(network, tensors, source=folder))
    yield Check.of(f"{folder.name}: no NaN", lambda: check_numbers(tensors, source=folder))


def _verify_file(path: Path, catalog: Catalog) -> Iterator[Check]:
    tensors = read_checkpoint(path)
    kind = catalog.checkpoint(tensors)
    if kind is None:
        yield Check("architecture", f"'{path}' is a checkpoint of some other network")
    else:
        yield Check(f"{kind.title}, {len(tensors)} tensors")
        yield from load_object(kind.check)(tensors, path)
    yield Check.of("no NaN", lambda: check_numbers(tensors, source=path))
