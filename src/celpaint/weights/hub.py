"""Weights on the Hugging Face hub -> a folder on this machine, in the hub's own cache.

Only what celpaint reads is downloaded. Interrupted downloads resume. The license is printed first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from celpaint.errors import MissingExtra, WeightsError

__all__ = ["Cached", "cached", "fetch"]

log = logging.getLogger("celpaint")

_BESIDE = (
    "*.md",
    "LICENSE*",
    "config.json",
    "model_index.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "SHA256SUMS",
)
_IN_PARTS = ("*.json", "*.safetensors", "SHA256SUMS")


def _patterns(parts: Collection[str]) -> list[str]:
    return [*_BESIDE, *(f"{part}/{what}" for part in parts for what in _IN_PARTS)]


@dataclass(frozen=True)
class Cached:
    """A repository in the hub's cache.

    Attributes:
        repo: its id.
        folder: its newest snapshot.
        bytes: of all its files.
    """

    repo: str
    folder: Path
    bytes: int


def wanted_files(files: Iterable[str], parts: Collection[str] = ()) -> list[str]:
    """Those of a repository's files that celpaint reads: no half copies of full files, nothing in other formats.

    Args:
        parts: subfolders that hold a network each.
    """
    patterns = _patterns(parts)
    read = [name for name in files if any(_matches(name, pattern) for pattern in patterns)]
    full = [name for name in read if ".fp16." not in name]
    folders = {Path(name).parent for name in full if name.endswith(".safetensors")}
    return sorted(name for name in read if ".fp16." not in name or Path(name).parent not in folders)


def _matches(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/") and fnmatch(name, pattern)


@cache
def fetch(name: str, parts: tuple[str, ...] = ()) -> Path:
    """The folder of ``owner/name[@revision]``.

    Args:
        parts: subfolders that hold a network each; no others are fetched.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        WeightsError: there is no such repository, it needs a license to be accepted, or the hub can't be reached.
    """
    hub = _hub()
    repo, _, revision = name.partition("@")
    try:
        info = hub.HfApi().model_info(repo, revision=revision or None, files_metadata=True)
    except hub.errors.GatedRepoError:
        raise WeightsError(
            f"'{repo}' requires that you accept its license",
            todo=f"Accept it at https://huggingface.co/{repo} and sign in with: hf auth login",
        ) from None
    except hub.errors.RepositoryNotFoundError:
        raise WeightsError(
            f"there is neither a folder '{name}' nor a repository of that name on the hub",
            wanted="'small', a folder, or a hub id like owner/name",
        ) from None
    except hub.errors.RevisionNotFoundError:
        raise WeightsError(f"'{repo}' has no revision '{revision}'", wanted="a branch, a tag or a commit") from None
    except Exception as error:  # the hub's client lets through whatever its HTTP client raises
        return _without_network(hub, repo, revision, parts, error)

    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    files = wanted_files(sizes, parts)
    if not any(file.endswith(".safetensors") for file in files):
        raise WeightsError(
            f"'{repo}' has no weights that celpaint reads as they are",
            wanted="config.json and safetensors files, alone or in folders such as unet",
            todo="Download its checkpoint and convert it with: celpaint weights convert",
        )
    if not _here(hub, repo, info.sha, files):
        total = sum(sizes[file] for file in files)
        log.info("downloading %s, %.2f GB; license: %s", repo, total / 1e9, _license(info))
    try:
        return Path(hub.snapshot_download(repo, revision=revision or None, allow_patterns=files))
    except Exception as error:
        raise WeightsError(
            f"the download of '{repo}' stopped ({_first_line(error)})",
            todo="Run the same command again to resume.",
        ) from None


def cached(recognizes: Callable[[Path], bool]) -> Iterator[Cached]:
    """Repositories in the hub's cache with weights that celpaint reads; none where the hub's client is missing.

    Args:
        recognizes: whether a folder holds such weights.
    """
    try:
        hub = _hub()
    except MissingExtra:
        return
    try:
        found = hub.scan_cache_dir()
    except hub.errors.CacheNotFound:
        return
    for repo in sorted(found.repos, key=lambda repo: str(repo.repo_id)):
        newest = max(repo.revisions, key=lambda revision: revision.last_modified, default=None)
        if repo.repo_type == "model" and newest is not None and recognizes(newest.snapshot_path):
            yield Cached(repo.repo_id, newest.snapshot_path, repo.size_on_disk)


def _hub() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise MissingExtra("huggingface_hub", "hub") from None
    return huggingface_hub


def _here(hub: Any, repo: str, revision: str, files: list[str]) -> bool:
    return all(isinstance(hub.try_to_load_from_cache(repo, file, revision=revision), str) for file in files)


def _without_network(hub: Any, repo: str, revision: str, parts: Collection[str], error: Exception) -> Path:
    """What was fetched before, or what to do by hand."""
    for half in ("*.fp16.*", None):  # half copies were left out where there are full files
        with suppress(Exception):  # not there, or not whole
            return Path(
                hub.snapshot_download(
                    repo,
                    revision=revision or None,
                    local_files_only=True,
                    allow_patterns=_patterns(parts),
                    ignore_patterns=half,
                )
            )
    why = "HF_HUB_OFFLINE is set" if hub.constants.HF_HUB_OFFLINE else f"no answer: {_first_line(error)}"
    raise WeightsError(
        f"'{repo}' is not a folder here, was not downloaded before, and the hub can't be reached ({why})",
        todo=f"On a machine with a network run: hf download {repo} --local-dir DIR; then bring DIR here "
        f"({', '.join(parts) or 'the network'}: config.json and safetensors files) and give --weights DIR.",
    )


def _license(info: Any) -> str:
    card = info.card_data or {}
    name = card.get("license_name") or card.get("license") or "none stated"
    return f"{name}, see https://huggingface.co/{info.id}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
