"""Running the host's programs: a time limit always, and what they printed in the error when they fail."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from sandtop.core.errors import ImageError, MissingDependency, SandtopError, StorageError
from sandtop.core.place import how_to_install

Progress = Callable[[str], None]
"""Receives one line of text, without a newline, for each step of a build."""

PACKAGES: Final[Mapping[str, str]] = {
    "apt-config": "apt",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "gzip": "gzip",
    "mke2fs": "e2fsprogs",
    "mksquashfs": "squashfs-tools",
    "mmdebstrap": "mmdebstrap",
    "newuidmap": "uidmap",
    "rm": "coreutils",
    "setpriv": "util-linux",
    "skopeo": "skopeo",
    "unshare": "util-linux",
    "xz": "xz-utils",
    "zstd": "zstd",
}
"""The Debian package that each program we run comes in."""

TO_BUILD: Final = ("apt-get", "dpkg-deb", "mke2fs", "mksquashfs", "mmdebstrap")
"""The programs without which nothing is built."""

_GRACE: Final = 10.0
"""Seconds that a program gets to end by itself when it is told to."""

_TAIL: Final = 400
"""How many characters of a failed program's output its error quotes: the last line or two say why."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment, with messages in English and /sbin on the PATH (mke2fs is there; users do not have it)."""
    path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
    return {**os.environ, "LC_ALL": "C.UTF-8", "PATH": path, **(extra or {})}


def not_here() -> list[str]:
    """Those of the programs `TO_BUILD` that are not installed."""
    path = environment()["PATH"]
    return [name for name in TO_BUILD if shutil.which(name, path=path) is None]


def run(
    argv: Sequence[str | Path],
    doing: str,
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
) -> str:
    """Run ``argv`` to its end and return its standard output.

    ``doing`` names the step in errors; ``timeout`` is in seconds. Raises `MissingDependency` when the program is
    not there, `StorageError` when it ran out of space, and `ImageError` when it failed or took too long.
    """
    try:
        done = subprocess.run(
            [os.fspath(word) for word in argv],
            cwd=cwd,
            env=environment(env),
            stdin=stdin if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise missing(os.fspath(argv[0])) from error
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"{doing}: {argv[0]} took longer than {timeout:.0f} s") from error
    if done.returncode:
        raise failure(doing, os.fspath(argv[0]), done.returncode, done.stderr)
    return done.stdout.decode(errors="replace")


def pipe(
    producer: Sequence[str | Path],
    consumer: Sequence[str | Path],
    doing: str,
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    narrate: Progress | None = None,
) -> None:
    """Run ``producer | consumer`` to the end, both within ``timeout`` seconds.

    ``narrate`` gets each line that the producer writes on its standard error. Raises as `run` does; when both fail,
    the one that failed on its own account: a producer that met a closed pipe did not.
    """
    said: deque[bytes] = deque(maxlen=20)
    with ExitStack() as stack:
        heard = stack.enter_context(tempfile.TemporaryFile())
        first = stack.enter_context(_started(producer, env, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        second = stack.enter_context(_started(consumer, env, stdin=first.stdout, stderr=heard))
        late = threading.Event()

        def end() -> None:
            late.set()
            first.terminate()

        clock = threading.Timer(timeout, end)
        stack.callback(clock.cancel)
        clock.start()
        assert first.stdout is not None
        assert first.stderr is not None
        first.stdout.close()  # the consumer alone has it: if that dies the producer notices
        for line in first.stderr:
            said.append(line)
            if narrate is not None:
                narrate(line.decode(errors="replace").rstrip())
        left, right = first.wait(), second.wait()
        if late.is_set() and left:
            raise ImageError(f"{doing}: {producer[0]} took longer than {timeout:.0f} s")
        heard.seek(0)
        # a producer whose reader is gone ends by SIGPIPE, or says so: the reader knows why, or has all it wants
        cut = left in (0, -signal.SIGPIPE, 128 + signal.SIGPIPE)
        if right and cut:
            raise failure(doing, os.fspath(consumer[0]), right, heard.read())
        if not cut:
            raise failure(doing, os.fspath(producer[0]), left, b"".join(said) + heard.read())


@contextmanager
def _started(
    argv: Sequence[str | Path],
    env: Mapping[str, str] | None,
    *,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    stderr: IO[bytes] | int,
) -> Generator[subprocess.Popen[bytes]]:
    """A running program, ended with us: asked at first, for mmdebstrap unmounts what it mounted."""
    words = [os.fspath(word) for word in argv]
    try:
        process = subprocess.Popen(
            words, env=environment(env), stdin=stdin or subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
    except FileNotFoundError as error:
        raise missing(words[0]) from error
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()


def missing(program: str) -> SandtopError:
    """The error for a program that is not there: with the command that installs it, where a package brings it."""
    package = PACKAGES.get(program)
    if package is None:  # of something that we unpacked ourselves
        return ImageError(f"{program} is not there")
    return MissingDependency(f"{program} is not installed", hint=f"run: {how_to_install(package)}")


def failure(doing: str, program: str, status: int, stderr: bytes) -> SandtopError:
    """The error for a ``program`` that ended with ``status`` having printed ``stderr``: the line that says why."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    for signs, kind, hint in _SIGNS:
        for line in lines:
            if any(sign in line for sign in signs):
                return kind(f"{doing}: {line[-_TAIL:]}", hint=hint)
    # apt and mmdebstrap mark what matters; of another program it is the end
    complaint = next((line for line in lines if line.startswith("E: ")), " / ".join(lines)[-_TAIL:])
    return ImageError(f"{doing}: {Path(program).name}: {complaint or f'exit status {status}'}")


OTHER_MIRROR: Final = "check that the mirror in this machine's apt sources is a whole one of Debian for amd64"
"""What to do about an archive that lacks what we need."""

_SIGNS: Final[tuple[tuple[tuple[str, ...], type[SandtopError], str], ...]] = (
    (
        ("No space left on device", "Disk quota exceeded"),
        StorageError,
        "free some space, or move SANDTOP_HOME to a larger disk",
    ),
    (
        (
            "Temporary failure resolving",
            "Could not resolve",
            "Could not connect",
            "Unable to connect",  # apt 3
            "Connection failed",
            "Connection timed out",
        ),
        ImageError,
        "check that this machine reaches its Debian archive",
    ),
    (
        (
            "Unable to locate package",
            "has no installation candidate",
            "404  Not Found",
            "does not have a Release file",
        ),
        ImageError,
        OTHER_MIRROR,
    ),
)
"""What a program prints when the fault is not its own, and what the user can do about it."""
