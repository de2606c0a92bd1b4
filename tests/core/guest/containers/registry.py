"""A registry on loopback: Debian's docker-registry, and before it, where a test wants that, one that does wrong."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import pytest

from sandtop.core import paths
from sandtop.core.errors import SandtopError
from sandtop.core.guest import archive, debs
from sandtop.core.guest.store import locked
from sandtop.core.settings import GUEST_RELEASE

from .making import INDEX

if TYPE_CHECKING:
    from collections.abc import Generator

USER: Final = "somebody"
PASSWORD: Final = "opensesame"
_HTPASSWD: Final = f"{USER}:$2b$05$abcdefghijklmnopqrstuuQbLfdQZSxZ9gjhA5V9o8Tyc6aQRO0Qi\n"
_SECONDS: Final = 20.0

_PACKAGE: Final = "docker-registry"
_UNPACKED: Final = Path(__file__).parents[4] / "build" / _PACKAGE

needs_skopeo = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


@cache
def program() -> str:
    """Debian's docker-registry. Where it is not installed it is only fetched: installed, it would start as a service.

    Skips the test where it cannot be had.
    """
    found = shutil.which(_PACKAGE)
    if found is not None:
        return found
    built = paths.find().cache
    try:
        with locked(built / "scratch", lambda: None):  # apt's lists are for one at a time
            if not _UNPACKED.exists():
                _fetch(archive.at(built, GUEST_RELEASE))
    except SandtopError as error:
        pytest.skip(f"docker-registry is not to be had: {error}")
    return str(_UNPACKED / "usr" / "bin" / _PACKAGE)


def _fetch(debian: archive.Archive) -> None:
    _UNPACKED.parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=_UNPACKED.parent) as folder:
        scratch, tree = Path(folder) / "scratch", Path(folder) / "tree"
        scratch.mkdir()
        tree.mkdir()
        debian.refresh(lambda _: None)
        debs.unpack(
            debian,
            debs.resolve(debian, [_PACKAGE], re.compile(_PACKAGE), scratch),
            tree,
            scratch,
            lambda _: None,
        )
        tree.rename(_UNPACKED)


@dataclass(frozen=True)
class Registry:
    """One that runs.

    Attributes:
        host: its address and port, as names of images begin.
        certificate: of the authority of its own certificate; None where it speaks no TLS.
    """

    host: str
    certificate: Path | None = None

    def push(self, layout: Path, name: str, to: str) -> str:
        """Copy an image from an OCI layout to the registry; the name that it has there. With a list all of it."""
        whole = f"{self.host}/{to}"
        subprocess.run(
            ["skopeo", "copy", "--all", "--quiet", "--dest-tls-verify=false", f"--dest-creds={USER}:{PASSWORD}",
             f"oci:{layout}:{name}", f"docker://{whole}"],
            check=True, timeout=60,
        )  # fmt: skip
        return whole


@contextmanager
def registry(folder: Path, *, tls: bool = False, password: bool = False) -> Generator[Registry]:
    """A docker-registry with its files below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    lines = [
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{filesystem: {{rootdirectory: {folder / 'files'}}}}}",
    ]
    http_lines = [f"addr: 127.0.0.1:{port}"]
    certificate = None
    if tls:
        certificate, key = _certificate(folder)
        http_lines.append(f"tls: {{certificate: {certificate}, key: {key}}}")
    if password:
        (folder / "htpasswd").write_text(_HTPASSWD)
        lines.append(f"auth: {{htpasswd: {{realm: tests, path: {folder / 'htpasswd'}}}}}")
    lines.append(f"http: {{{', '.join(http_lines)}}}")
    (folder / "config.yml").write_text("\n".join(lines) + "\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program(), "serve", folder / "config.yml"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    with process:
        try:
            _until_it_answers(process, port, certificate)
            yield Registry(f"127.0.0.1:{port}", certificate)
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return certificate, key


def _until_it_answers(process: subprocess.Popen[bytes], port: int, certificate: Path | None) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "docker-registry ended"
        try:
            if certificate is None:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            else:
                context = ssl.create_default_context(cafile=str(certificate))
                connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
            connection.request("GET", "/v2/")
            connection.getresponse().read()
            connection.close()
        except ConnectionError:
            time.sleep(0.02)
            continue
        return
    raise AssertionError("docker-registry does not answer")


@dataclass
class Faulty:
    """What stands before a registry, and does wrong to the layer with the digest ``layer``; all else it passes on.

    Attributes:
        fault: ``cut``: half of it comes; ``lie``: other bytes come; ``hang``: half of it comes, and then nothing more;
            ``slow``: it comes bit by bit.
        manifest: what it gives out as every manifest, where that is not None.
        asked: the paths of all requests.
        hangs: set once half of the layer has come.
        release: set for the rest of it to come.
    """

    host: str
    layer: str
    fault: str = ""
    manifest: bytes | None = None
    asked: list[str] = field(default_factory=list[str])
    hangs: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    def layers_asked(self) -> list[str]:
        """Of the blobs that somebody asked for, the digests."""
        return [path.rpartition("/")[2] for path in self.asked if "/blobs/" in path]


@contextmanager
def before(real: Registry, layer: str, fault: str = "") -> Generator[Faulty]:
    """A `Faulty` in front of ``real``."""
    made = Faulty("", layer, fault)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made.asked.append(self.path)
            connection = http.client.HTTPConnection(real.host, timeout=_SECONDS)
            connection.request(
                "GET", self.path, headers={"Accept": ", ".join(self.headers.get_all("Accept", ["*/*"]))}
            )
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            if made.manifest is not None and "/manifests/" in self.path:
                self._manifest(made.manifest)
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("date", "server", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            if made.layer in self.path and "/blobs/" in self.path:
                self._wrongly(body)
            else:
                self.wfile.write(body)

        def _manifest(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", INDEX)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _wrongly(self, body: bytes) -> None:
            half = len(body) // 2
            if made.fault == "lie":
                body = bytes(reversed(body))
            if made.fault in ("cut", "hang", "slow"):
                self.wfile.write(body[:half])
                self.wfile.flush()
                made.hangs.set()
                body = body[half:]
            if made.fault in ("hang", "slow"):
                made.release.wait(_SECONDS)
            if made.fault in ("cut", "hang"):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that goes away is what some tests want."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        made.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
