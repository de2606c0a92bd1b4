"""Starting the core on demand. Imported only when none is running, so that it costs nothing otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import Final

from sandtop.core.errors import CoreUnavailable

from .secrets import read_from

LAUNCH_SECONDS: Final = 150.0
"""How long the supervisor may take until its core listens; it adopts running machines first."""


def launch(channel: str | None = None) -> None:
    """Start the supervisor, which starts the core, and wait until the core listens. Harmless when one runs already.

    ``channel`` is for its machines, in place of the one that the settings ask for.
    Raises `CoreUnavailable` with what the supervisor said, or when it took too long.
    """
    command = [sys.executable, "-P", "-m", "sandtop.core.daemon"]
    if channel is not None:
        command += ["--channel", channel]
    # a file and not a pipe: what the core inherits must not keep this process waiting
    with tempfile.TemporaryFile() as said:
        try:
            status = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=LAUNCH_SECONDS,
                check=False,
                env={name: value for name, value in os.environ.items() if name not in read_from},
            ).returncode
        except subprocess.TimeoutExpired:
            raise CoreUnavailable(
                f"the core did not start within {LAUNCH_SECONDS:.0f} s", hint="run 'sandtop doctor'"
            ) from None
        except OSError as error:
            raise CoreUnavailable(f"cannot start the core: {error.strerror or error}") from error
        if status == 0:
            return
        said.seek(max(0, said.tell() - 65536))
        lines = said.read().decode(errors="replace").strip().splitlines()
    message = lines[-1].removeprefix("sandtop: ") if lines else f"it exited with {status}"
    message = message.removeprefix("the core did not start: ")  # as its supervisor says, too
    raise CoreUnavailable(f"the core could not start: {message}")
