"""Names -> folders, on this machine and on a hub that this test plays."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from celpaint.errors import MissingExtra, WeightsError
from celpaint.methods.lvcd.spec import PARTS
from celpaint.weights.hub import wanted_files
from celpaint.weights.registry import find_weights, packaged

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "README.md": b"---\nlicense: other\n---\n",
    "model_index.json": b"{}",
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": bytes(range(256)) * 4000,
    "unet/diffusion_pytorch_model.fp16.safetensors": b"half",
    "svd.safetensors": b"the original file, too large to fetch for nothing",
    "unet/diffusion_pytorch_model.bin": b"a pickle",
}


def test_small_is_in_the_package_or_says_what_to_do() -> None:
    assert find_weights("matcher", "small") == packaged()["matcher"]
    with pytest.raises(WeightsError, match=r"no small weights for the method nothing.*celpaint weights list"):
        find_weights("nothing", "small")


def test_folders_files_and_nonsense(tmp_path: Path) -> None:
    assert find_weights("lvcd", str(tmp_path)) == tmp_path
    (tmp_path / "lvcd.ckpt").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"is a file; wanted a folder.*celpaint weights info"):
        find_weights("lvcd", str(tmp_path / "lvcd.ckpt"))
    with pytest.raises(WeightsError, match="there are no weights 'a/b/c'"):
        find_weights("lvcd", "a/b/c")


def test_only_what_is_read_is_fetched() -> None:
    assert wanted_files(FILES, PARTS) == [
        "README.md",
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ]
    half = ["unet/config.json", "unet/diffusion_pytorch_model.fp16.safetensors"]
    assert wanted_files(half, PARTS) == half
    assert wanted_files(["config.json", "model.safetensors", "runs/model.safetensors"]) == [
        "config.json",
        "model.safetensors",
    ]


def test_without_the_hubs_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"huggingface_hub.*celpaint\[hub\]"):
        find_weights("lvcd", "owner/nothing-fetched")


class Hub(ThreadingHTTPServer):
    """The hub's interface, as far as it is needed here. It cuts off the first ``cuts`` large answers half way."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.cuts = 0
        self.asked: list[str] = []
        self.ranges: list[str] = []


class Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if "owner/gated" in path:
            return self.reply(403, b"{}", X_Error_Code="GatedRepo", X_Error_Message="ask first")
        if "owner/name" not in path:
            return self.reply(404, b"{}", X_Error_Code="RepoNotFound")
        if "/revision/nope" in path:
            return self.reply(404, b"{}", X_Error_Code="RevisionNotFound")
        if "/resolve/" in path:
            return self.file(path.partition(f"/resolve/{COMMIT}/")[2])
        if "/tree/" in path:
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in FILES.items()
            ]
            return self.reply(200, json.dumps(tree).encode(), Content_Type="application/json")
        about = {
            "id": "owner/name",
            "modelId": "owner/name",
            "sha": COMMIT,
            "cardData": {"license": "other", "license_name": "study-only"},
            "siblings": [{"rfilename": name, "size": len(data)} for name, data in FILES.items()],
            "tags": [],
        }
        return self.reply(200, json.dumps(about).encode(), Content_Type="application/json")

    def file(self, name: str) -> None:
        data = FILES[name]
        given = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X_Repo_Commit": COMMIT, "Accept_Ranges": "bytes"}
        if self.command == "GET":
            self.server.asked.append(name)
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if start:
                self.server.ranges.append(name)
            rest = data[start:]
            span = f"bytes {start}-{len(data) - 1}/{len(data)}"
            return self.reply(206, rest, Content_Range=span, **given)
        if self.command == "GET" and len(data) > 10000 and self.server.cuts:
            self.server.cuts -= 1
            self.send_response(200)
            for key, value in {**given, "Content-Length": str(len(data))}.items():
                self.send_header(key.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return None
        return self.reply(200, data, **given)


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


SCRIPT = """
import logging, sys
from celpaint.errors import CelpaintError
from celpaint.methods.lvcd.spec import SPEC
logging.basicConfig(level=logging.WARNING, format="%(message)s")
logging.getLogger("celpaint").setLevel(logging.INFO)
try:
    print(SPEC.find_weights(sys.argv[1]))
except CelpaintError as error:
    print("refused:", error)
"""


def find(name: str, cache: Path, address: str, **more: str) -> tuple[str, str]:
    """Answer and notes of a process of its own: the hub's client reads its settings once."""
    settings = {"HF_HOME": str(cache), "HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", "HF_HUB_ETAG_TIMEOUT": "5"}
    settings |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", **more}
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        settings |= {proxy: "", proxy.upper(): ""}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name], env={**os.environ, **settings}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip(), done.stderr


NOWHERE = "http://127.0.0.1:9"


def at(hub: Hub) -> str:
    return f"http://127.0.0.1:{hub.server_port}"


def test_weights_are_fetched_once_and_found_again_without_a_network(hub: Hub, tmp_path: Path) -> None:
    folder, notes = find("owner/name", tmp_path, at(hub))
    assert "downloading owner/name, 0.00 GB; license: study-only, see https://huggingface.co/owner/name" in notes
    held = {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}
    assert held == {name: FILES[name] for name in wanted_files(FILES, PARTS)}
    asked = len(hub.asked)
    again, notes = find("owner/name", tmp_path, at(hub))
    assert (again, len(hub.asked)) == (folder, asked)
    assert "license" not in notes
    assert find("owner/name", tmp_path, NOWHERE)[0] == folder
    assert find("owner/name", tmp_path, at(hub), HF_HUB_OFFLINE="1")[0] == folder


def test_a_stopped_download_goes_on(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = "unet/diffusion_pytorch_model.safetensors"
    monkeypatch.setitem(FILES, large, bytes(range(256)) * 100_000)  # the client writes 10 MB at a time
    hub.cuts = 1
    folder, _ = find("owner/name", tmp_path, at(hub))
    if folder.startswith("refused"):
        assert "to resume" in folder
        folder, _ = find("owner/name", tmp_path, at(hub))
    assert (Path(folder) / large).read_bytes() == FILES[large]
    assert hub.ranges == [large]


@pytest.mark.parametrize(
    ("address", "more", "why"),
    [(NOWHERE, {}, "no answer"), (NOWHERE, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set")],
)
def test_offline_says_which_files_to_put_where(tmp_path: Path, address: str, more: dict[str, str], why: str) -> None:
    said, _ = find("owner/name", tmp_path, address, **more)
    for wanted in ("refused:", why, "hf download owner/name", "unet, controlnet, vae", "--weights DIR"):
        assert wanted in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("owner/gated", "Accept it at https://huggingface.co/owner/gated"),
        ("owner/none", "neither a folder 'owner/none' nor a repository"),
        ("owner/name@nope", "no revision 'nope'"),
    ],
)
def test_what_the_hub_refuses(hub: Hub, tmp_path: Path, name: str, wanted: str) -> None:
    assert wanted in find(name, tmp_path, at(hub))[0]
