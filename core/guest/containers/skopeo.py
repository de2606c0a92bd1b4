"""skopeo, which speaks with registries: what it is asked, and what its errors mean."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError, NotFound, SandtopError, StorageError
from sandtop.core.guest.containers.credentials import credentials
from sandtop.core.guest.tools import environment, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path
    from typing import IO

    from sandtop.core.guest.containers.reference import Reference

PATIENCE: Final = 60.0
"""Seconds that a registry may send nothing."""
_LOOK: Final = 0.2
"""Seconds between two looks at what came."""
# a core that is killed takes it along: whoever asks again is the only one who fetches
_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL", "--")
_MESSAGE: Final = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
_CONTEXT: Final = re.compile(
    r'^(?:Error parsing image name "[^"]*": |[A-Z][a-z]+ [a-z ]*source docker://[^ ]*: )+'
)
_TAIL: Final = 300


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry, and the manners with which it is asked.

    Attributes:
        reference: what of it.
        config: docker's configuration with the passwords, where it is not in its usual place.
        insecure: also without TLS, or with certificates that nobody vouches for.
        patience: see `PATIENCE`.
    """

    reference: Reference
    config: Path | None = None
    insecure: bool = False
    patience: float = PATIENCE

    def manifest(self, name: str) -> bytes:
        """The manifest of ``name``. Raises `NotFound`, `ImageError`, `MissingDependency`, `StorageError`."""
        return self._inspect("--raw", name)

    def configuration(self, name: str) -> bytes:
        """As `manifest`, of its configuration."""
        return self._inspect("--config", "--raw", name)

    def copy(self, name: str, layout: Path, blobs: Path, look: Callable[[], int]) -> None:
        """Copy an image to the OCI layout ``layout``, with its blobs in ``blobs``; those there are not fetched.

        ``look`` is called now and then, and returns how many bytes came. Raises as `manifest` does.
        """
        argv: list[str | Path] = ["--tmpdir", layout.parent, "copy", "--quiet"]
        argv += ["--src-tls-verify=false"] if self.insecure else []
        argv += ["--dest-shared-blob-dir", blobs, "--dest-oci-accept-uncompressed-layers"]
        argv += [f"docker://{name}", f"oci:{layout}:image"]
        with self._started(argv) as (process, heard, _):
            came, since = look(), time.monotonic()
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK)
                if (now := look()) != came:
                    came, since = now, time.monotonic()
                elif time.monotonic() > since + self.patience:
                    raise self._silent()
            self._check(process.returncode, heard)

    def _inspect(self, *words: str) -> bytes:
        tls = ["--tls-verify=false"] if self.insecure else []
        *options, name = words
        with self._started(["inspect", *tls, *options, f"docker://{name}"]) as (process, heard, told):
            try:
                process.wait(self.patience)
            except subprocess.TimeoutExpired:
                raise self._silent() from None
            self._check(process.returncode, heard)
            told.seek(0)
            return told.read()

    @contextlib.contextmanager
    def _started(
        self, words: Sequence[str | Path]
    ) -> Generator[tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]]:
        """A running skopeo, and what it writes to its standard error and output. It is killed at the end."""
        with contextlib.ExitStack() as stack:
            options, descriptors = stack.enter_context(credentials(self.reference.registry, self.config))
            heard, told = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
            argv = [*_WITH_US, "skopeo", *words, *options]
            try:
                process = subprocess.Popen(
                    [os.fspath(word) for word in argv],
                    stdin=subprocess.DEVNULL,
                    stdout=told,
                    stderr=heard,
                    env=environment(),
                    pass_fds=descriptors,
                )
            except FileNotFoundError as error:
                raise missing(_WITH_US[0]) from error
            stack.enter_context(process)
            try:
                yield process, heard, told
            finally:
                if process.poll() is None:
                    process.kill()

    def _silent(self) -> ImageError:
        return ImageError(
            f"{self._name}: the registry {self.reference.registry} sent nothing for {self.patience:.0f} s",
            hint="what came already is kept: the next try goes on from it",
        )

    def _check(self, status: int, heard: IO[bytes]) -> None:
        """Raises the error that a failed skopeo wrote to ``heard``."""
        if status == 0:
            return
        heard.seek(0)
        text = heard.read(1 << 16).decode(errors="replace")
        if status == 127 and "skopeo" in text:  # setpriv's, for a program that it does not find
            raise missing("skopeo")
        if status == -signal.SIGKILL:
            raise ImageError(f"{self._name}: skopeo was killed")
        raise explain(text, self._name, self.reference.registry)

    @property
    def _name(self) -> str:
        return self.reference.familiar


def explain(text: str, name: str, registry: str) -> SandtopError:
    """What an error of skopeo's means for the image ``name`` of ``registry``."""
    found = _MESSAGE.search(text)
    said = found[1].replace('\\"', '"').replace("\\n", " ") if found else " / ".join(text.split("\n")).strip()
    said = _CONTEXT.sub("", said)[-_TAIL:]
    for signs, words, hint, kind in _MEANINGS:
        if any(sign in said for sign in signs):
            return kind(
                f"{name}: {words.format(registry=registry)}: {said}", hint=hint.format(registry=registry)
            )
    return ImageError(f"{name}: {said or 'skopeo failed without a word'}")


_MEANINGS: Final[tuple[tuple[tuple[str, ...], str, str, type[SandtopError]], ...]] = (
    (
        ("No space left on device", "no space left on device", "disk quota exceeded"),
        "the disk is full",
        "free some space, or move SANDTOP_HOME to a larger disk",
        StorageError,
    ),
    (
        ("manifest unknown", "name unknown", "repository name not known"),
        "{registry} has no such image",
        "is the name right, and the tag behind the colon?",
        NotFound,
    ),
    (
        ("toomanyrequests", "429"),
        "{registry} answers no more for now",
        "wait, or log in: docker login {registry}",
        ImageError,
    ),
    (
        ("unauthorized", "authentication required", "denied: ", "access denied", "invalid username/password"),
        "{registry} wants a password, or has no such image",
        "log in with: docker login {registry} (or skopeo login {registry})",
        ImageError,
    ),
    (
        ("server gave HTTP response to HTTPS client",),
        "{registry} speaks no TLS",
        "if that is as it should be: --insecure-registry",
        ImageError,
    ),
    (
        ("x509:",),
        "the certificate of {registry} is not trusted",
        "put the certificate of its authority into /etc/docker/certs.d/{registry}/ca.crt, or use --insecure-registry",
        ImageError,
    ),
    (
        ("tls:",),
        "no TLS connection to {registry} can be made",
        "is that its port? if it speaks no TLS: --insecure-registry",
        ImageError,
    ),
    (
        (
            "connection refused",
            "no such host",
            "no route to host",
            "network is unreachable",
            "i/o timeout",
            "timeout",
        ),
        "the registry {registry} cannot be reached",
        "check that this machine reaches it, and the name",
        ImageError,
    ),
    (
        ("Digest did not match", "does not match", "Manifest does not match"),
        "{registry} sent something that is not what its digest says",
        "nothing of it was kept; try again, or ask whoever runs the registry",
        ImageError,
    ),
    (
        ("unexpected EOF", "connection reset", "EOF"),
        "the connection to {registry} was cut",
        "try again: layers that came whole are kept",
        ImageError,
    ),
)
"""What is in the messages of skopeo and its libraries, what that means, what to do about it, and the error for it."""
