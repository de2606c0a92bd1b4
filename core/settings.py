"""The user's settings: ``config.toml`` in sandtop's configuration directory. All are optional."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Self, cast

from sandtop.agent.wire.limits import MAX_GRACE_MS
from sandtop.core.errors import InvalidRequest, from_os_error

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.rules import Rule

_NAMES: Final = ("attach_allow",)
_TEXTS: Final = ("metrics",)
CONSOLE: Final = "console"
"""The table of the console's own settings, which it reads itself."""
_MAY_BE_ZERO: Final = ("warm_machines", "disk_reserve_bytes")
_LEAST: Final = {"translation_cache_mib": 16}
_MOST: Final = {"stop_seconds": MAX_GRACE_MS // 1000, "translation_cache_mib": 1024}
GUEST_RELEASE: Final = "bookworm"
"""The Debian release that guests are made of unless told: the one whose kernel and Python start fastest."""
TRANSLATION_CACHE_MIB: Final = 62
"""The code of one start of Python is some 43 MB, and when TCG's cache is full all of it is thrown away: with 32 MiB
each start of Python takes four times as long. More is of use to few programs; docs/speed.md has figures."""
_CHOICES: Final = {
    "accelerator": ("auto", "kvm", "tcg"),
    "channel": ("auto", "vsock", "virtio-serial"),
    "guest_release": (GUEST_RELEASE, "trixie"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be set.

    Attributes:
        session_log_bytes: output kept of one session; the oldest goes first, and readers see a gap.
        sandbox_log_bytes: output kept of all sessions of a sandbox; the log of the session that began first goes first.
        sessions_kept: ended sessions that a sandbox keeps, with their exit records.
        boot_seconds: how long a machine may take until its agent answers.
        stop_seconds: how long the sessions of a sandbox may take to end after SIGTERM when it stops.
        alerts: rules of the user's own for when somebody should look at a sandbox.
        attach_allow: what a program may do to the operator's terminal outside of its screen; read by clients.
        warm_machines: how many machines the warm pool has at most; 0 for none.
        accelerator: ``kvm`` or ``tcg`` for all sandboxes that do not ask for one; ``auto`` for the best that works.
        channel: ``vsock`` or ``virtio-serial`` between the core and agents; ``auto`` for the best that works.
        guest_release: the Debian release of the guests' kernel and runtime, and of ``base`` when it is built.
        translation_cache_mib: the memory, in MiB, that an emulated machine may fill with translated code.
        disk_reserve_bytes: free space on the disk of the sandboxes below which those that fill it are stopped, but no
            more than a twentieth of that disk; 0 for none.
        metrics: where the core serves them: ``unix:PATH``, or a loopback address and a port; empty for nowhere.
    """

    session_log_bytes: int = 256 << 20
    sandbox_log_bytes: int = 2 << 30
    sessions_kept: int = 500
    boot_seconds: int = 90
    stop_seconds: int = 5
    warm_machines: int = 2
    accelerator: str = "auto"
    channel: str = "auto"
    guest_release: str = GUEST_RELEASE
    translation_cache_mib: int = TRANSLATION_CACHE_MIB
    disk_reserve_bytes: int = 512 << 20
    attach_allow: tuple[str, ...] = ()
    alerts: tuple[Rule, ...] = ()
    metrics: str = ""

    @classmethod
    def load(cls, path: Path) -> Self:
        """The settings in ``path``; the defaults when it is not there. Raises `InvalidRequest` naming what is wrong."""
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise from_os_error(error, "cannot read the settings") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest(f"{path} is not valid: {error}", hint="mend or remove it") from error
        data.pop(CONSOLE, None)
        known = {field.name for field in fields(cls)}
        for name, value in data.items():
            if name not in known:
                raise InvalidRequest(
                    f"{path}: there is no setting {name}", hint=f"known: {', '.join(sorted(known))}"
                )
            if name == "alerts":
                data[name] = _rules(value, path)
                continue
            if name in _CHOICES:
                if value not in _CHOICES[name]:
                    wanted = ", ".join(_CHOICES[name])
                    raise InvalidRequest(f"{path}: {name} must be one of {wanted}, not {value!r}")
                continue
            if name in _TEXTS:
                if not isinstance(value, str):
                    raise InvalidRequest(f"{path}: {name} must be a text, not {value!r}")
                continue
            if name in _NAMES:
                data[name] = _names(value, f"{path}: {name}")
                continue
            least = 0 if name in _MAY_BE_ZERO else _LEAST.get(name, 1)
            most = _MOST.get(name, math.inf)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                wanted = f"from {least} on" if most == math.inf else f"from {least} to {most}"
                raise InvalidRequest(f"{path}: {name} must be a whole number {wanted}, not {value!r}")
        return cls(**data)


def _rules(value: object, path: Path) -> tuple[Rule, ...]:
    from sandtop.core.rules import parse_rules  # commands that read other settings do not wait for it

    try:
        return parse_rules(value)
    except ValueError as error:
        raise InvalidRequest(f"{path}: {error}", hint="docs/triage.md has alert rules") from None


def _names(value: object, what: str) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else None
    if items is None or not all(isinstance(item, str) for item in items):
        raise InvalidRequest(f"{what} must be a list of names, not {value!r}")
    return tuple(str(item) for item in items)
