"""The password for a registry, where docker's configuration leaves it to a credential helper.

skopeo reads the passwords that are in docker's configuration, but of the helpers it knows those alone that are named
for one registry. A helper's answer goes to it in a file that is nowhere but in memory, and never on a command line.
Sources: docker's config.json (``credsStore``, ``credHelpers``) and the protocol of docker-credential-helpers.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import ImageError
from sandtop.core.guest.containers.documents import get_object, get_text, parse
from sandtop.core.guest.tools import environment

if TYPE_CHECKING:
    from collections.abc import Generator

_HUB: Final = "docker.io"
_HUB_KEY: Final = "https://index.docker.io/v1/"
_HELPER: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECONDS: Final = 60.0
_TOKEN: Final = "<token>"
"""The user name with which a helper hands out a token in place of a password."""
_MAX_CONFIG: Final = 1 << 20


@contextlib.contextmanager
def credentials(registry: str, config: Path | None) -> Generator[tuple[list[str], list[int]]]:
    """Options of skopeo, and the descriptors that it is to inherit.

    ``config`` is docker's configuration, where that is not in its usual place. Raises `ImageError` for a helper that
    fails.
    """
    answer = _asked(registry, config or Path.home() / ".docker" / "config.json")
    if answer is None:
        # one that is not there says nothing, and no public image needs it
        yield (["--authfile", str(config)] if config is not None and config.exists() else []), []
        return
    descriptor = os.memfd_create("credentials", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, json.dumps({"auths": {registry: answer}}).encode())
        yield ["--authfile", f"/proc/self/fd/{descriptor}"], [descriptor]
    finally:
        os.close(descriptor)


def _asked(registry: str, path: Path) -> dict[str, str] | None:
    """What a helper says, as an entry of ``auths``; None where there is no helper, or it knows nothing."""
    doing = f"reading {path}"
    try:
        with path.open("rb") as file:
            config = parse(file.read(_MAX_CONFIG), doing)
    except OSError:
        return None  # skopeo says so, where it matters
    key = _HUB_KEY if registry == _HUB else registry
    helpers = get_object(config, "credHelpers", doing)
    helper = (
        get_text(helpers, key, doing)
        or get_text(helpers, registry, doing)
        or get_text(config, "credsStore", doing)
    )
    if not helper:
        return None
    if not _HELPER.fullmatch(helper):
        raise ImageError(f"{doing}: {helper!r:.80} is no credential helper")
    return _ask(f"docker-credential-{helper}", key)


def _ask(program: str, key: str) -> dict[str, str] | None:
    try:
        done = subprocess.run(
            [program, "get"],
            input=key.encode(),
            capture_output=True,
            env=environment(),
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        hint = "docker's config.json names it: install it, or take it out there"
        raise ImageError(f"the credential helper {program} is not installed", hint=hint) from error
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"the credential helper {program} did not answer in {_SECONDS:.0f} s") from error
    if done.returncode:
        if b"not found" in done.stdout + done.stderr:
            return None
        # what it printed may have a secret in it
        raise ImageError(f"the credential helper {program} failed with status {done.returncode}")
    answer = parse(done.stdout, f"the credential helper {program}")
    user, secret = (get_text(answer, name, program) for name in ("Username", "Secret"))
    if user == _TOKEN:
        return {"auth": base64.b64encode(f"{user}:".encode()).decode(), "identitytoken": secret}
    return {"auth": base64.b64encode(f"{user}:{secret}".encode()).decode()}
