"""Where the core's socket is. Apart from `paths`, as the commands that people wait for need no more than this:
pathlib, dataclasses and platformdirs would cost them 20 ms.
"""

from __future__ import annotations

import os

from sandtop.core.errors import InvalidRequest

APP = "sandtop"
CORE_SOCKET = "core.sock"
"""Name of the core's socket in the runtime directory."""


def home() -> str | None:
    """The absolute path in SANDTOP_HOME, or None when it is not set. Raises `InvalidRequest` for a relative one."""
    given = os.environ.get("SANDTOP_HOME")
    if not given:
        return None
    if not os.path.isabs(given):
        raise InvalidRequest(f"SANDTOP_HOME is not an absolute path: {given}", hint="give it from /")
    return os.path.normpath(given)


def runtime_directory() -> str:
    """`Paths.runtime` as text. Raises `InvalidRequest` for a relative SANDTOP_HOME."""
    root, name = home(), f"{APP}-{os.geteuid()}"
    if root is not None:
        name += "-" + _sha256(os.fsencode(root))[:10]
    return os.path.join(_runtime_root(), name)


def _sha256(data: bytes) -> str:
    # hashlib would load OpenSSL first, for 5 ms; what it has for a Python without OpenSSL has changed its name in 3.12
    for name in ("_sha256", "_sha2", "hashlib"):
        try:
            module = __import__(name)
        except ImportError:
            continue
        digest: str = module.sha256(data).hexdigest()
        return digest
    raise AssertionError("hashlib is there")


def _runtime_root() -> str:
    given = os.environ.get("XDG_RUNTIME_DIR")
    # systemd's /run/user/1000 has 14 characters; a far longer one leaves no room for socket names
    if given and len(given) <= 40 and os.path.isdir(given):
        return given
    return "/run" if os.geteuid() == 0 else "/tmp"
