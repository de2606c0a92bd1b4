"""Words that core, client and console all use for the same thing. No imports: hot commands load it."""

from __future__ import annotations

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "fish"})
FILES_COPIED: Final = "(files copied)"
"""What a session without a command line does: the agent's own code, for ``cp``."""
_ARGUMENTS: Final = 40
_CHARACTERS: Final = 800


def command_line(argv: Sequence[str]) -> str:
    """A command as one would type it; a script for a shell is just that. Not neutral, nor one line: see `neutral`."""
    import shlex

    if not argv:
        return FILES_COPIED
    if len(argv) == 3 and is_shell(argv[0]) and argv[1] in ("-c", "-lc") and argv[2].strip():
        return argv[2][:_CHARACTERS]
    return " ".join(word if word.isalnum() else shlex.quote(word) for word in argv[:_ARGUMENTS])[:_CHARACTERS]


def is_shell(program: str) -> bool:
    """Whether a program's name is a shell's."""
    return program.rpartition("/")[2].lstrip("-") in SHELLS


def is_bare_shell(argv: Sequence[str]) -> bool:
    """Whether a command is a shell that reads what somebody types: no script, and no ``-c``."""
    return (
        bool(argv)
        and is_shell(argv[0])
        and all(word in ("-i", "-l", "-il", "-li", "--login") for word in argv[1:])
    )


def age(seconds: float) -> str:
    """A span of time in at most five characters: ``4s``, ``12m``, ``3h05``, ``4d``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 36000:
        return f"{whole // 3600}h{whole % 3600 // 60:02}"
    if whole < 86400:
        return f"{whole // 3600}h"
    return f"{whole // 86400}d"


def byte_size(count: float) -> str:
    """A number of bytes in the largest binary unit that fits: ``999 B``, ``1.5 KiB``, ``118 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def time_span(seconds: float) -> str:
    """A span of time that somebody set: ``0.5 s``, ``30 s``, ``5 min``, ``2 h``."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"


def told(ended: str, cause: str | None) -> str:
    """How a session ended, and why: ``exit 3 · ValueError: boom``."""
    return f"{ended} · {cause}" if cause else ended


def ending(reason: str | None, exit_code: int | None, signal: int | None) -> str:
    """How a session ended, in a word or two: ``exit 1``, ``signal 9``, ``timeout``, ``not started 127``."""
    if reason == "signaled":
        return f"signal {signal}"
    if reason in ("timeout", "oom"):
        return reason
    if reason == "spawn":
        return f"not started {exit_code}"
    if reason == "vm-died":
        return "vm died"
    return f"exit {exit_code}"


def endpoint(host: str, port: int | None) -> str:
    """A host's name or address with a port, as people write it: ``git.example.org:443``, ``[::1]:8080``."""
    written = f"[{host}]" if ":" in host else host
    return written if port is None else f"{written}:{port}"


def connection(*, allowed: bool, address: str | None, ended: bool, reason: str | None) -> str:
    """What became of a connection out of a sandbox: ``connected``, ``ended``, ``refused: no rule allows it``."""
    if not allowed:
        return f"refused: {reason}"
    if address is None:
        return f"failed: {reason}"
    if not ended:
        return "connected"
    return f"ended: {reason}" if reason else "ended"
