"""What fields may hold, beside their type: each limit is stated with the type that it bounds, for `codec` to read.

``check(field, value)`` of a limit raises `InvalidRequest`, which names the field, for a value out of bounds.
"""

from __future__ import annotations

import ipaddress
import math
import re
from typing import TYPE_CHECKING, Annotated, Final, Literal

from sandtop.agent.wire.limits import MAX_NAME, MAX_OFFSET, MAX_PORT, MAX_TIMEOUT_MS, MAX_WINDOW_SIDE
from sandtop.core.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_ID: Final = 64
"""Characters of an id that a client makes."""
MAX_TEXT: Final = 4096
"""Characters of a path, a user's or an image's name."""
MAX_ENVIRONMENT: Final = 128 * 1024
"""Characters of all names and values of a sandbox's environment, or labels."""
NAME: Final = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{MAX_NAME - 1}}}\Z")
SESSION_ID: Final = re.compile(r"[0-9a-f]{16}\Z")
_STEP_KEY: Final = re.compile(r"[0-9a-f]{64}\Z")
_VARIABLE: Final = re.compile(r"[^=\0]+\Z")


class Number:
    """From ``low`` to ``high``."""

    def __init__(self, low: float, high: float, words: str) -> None:
        self._low, self._high, self._words = low, high, words

    def check(self, field: str, value: int | float) -> None:
        if not self._low <= value <= self._high:  # nor is NaN
            raise InvalidRequest(f"{field} must be {self._words}, not {value!r:.40}")


def _whole(low: int, high: int, unit: str = "") -> Number:
    return Number(low, high, f"a whole number from {low} to {high}{unit}")


class Ascii:
    """An id: at most `MAX_ID` ASCII characters, and at least ``least``."""

    def __init__(self, least: int) -> None:
        self._least = least

    def check(self, field: str, value: str) -> None:
        if not self._least <= len(value) <= MAX_ID or not value.isascii():
            words = f"{self._least} to {MAX_ID}" if self._least else f"at most {MAX_ID}"
            raise InvalidRequest(f"{field} must be {words} ASCII characters, not {value!r:.40}")


class Characters:
    """A text of 1 to ``most`` characters without NUL; with ``absolute`` a path from the root."""

    def __init__(self, most: int = MAX_TEXT, *, absolute: bool = False) -> None:
        self._most, self._absolute = most, absolute

    def check(self, field: str, value: str) -> None:
        if not value or "\0" in value or len(value) > self._most:
            words = f"a text of 1 to {self._most:,} characters without NUL"
            raise InvalidRequest(f"{field} must be {words}, not {value!r:.60}")
        if self._absolute and not value.startswith("/"):
            raise InvalidRequest(f"{field} must be an absolute path in the sandbox, not {value}")


class OwnFolder:
    """A place to mount something: a folder below the root, not one that the sandbox itself has something at."""

    def check(self, field: str, value: str) -> None:
        parts = [part for part in value.split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            raise InvalidRequest(f"{field} must be a folder below the root, without .., not {value!r:.60}")
        if parts[0] in ("proc", "sys", "dev") and len(parts) == 1:
            raise InvalidRequest(f"{field} must not be {value!r:.60}, where the sandbox's own is")


class SandboxName:
    """RFC 1123's label, since it becomes a host name."""

    def check(self, field: str, value: str) -> None:
        if not NAME.match(value):
            raise InvalidRequest(
                f"{value!r:.80} cannot be a sandbox's name",
                hint=f"use 1 to {MAX_NAME} of a-z, 0-9 and -, not beginning with -",
            )


class Hexadecimal:
    """A session's id."""

    def check(self, field: str, value: str) -> None:
        if not SESSION_ID.match(value):
            raise InvalidRequest(
                f"{field} must be 16 hexadecimal digits, made by the client, not {value!r:.40}"
            )


class Key:
    """A step of a build."""

    def check(self, field: str, value: str) -> None:
        if not _STEP_KEY.match(value):
            raise InvalidRequest(f"{field} must be 64 hexadecimal digits, not {value!r:.80}")


class Pairs:
    """Variables, or labels: their names such as execve(2) takes them, at most ``most`` characters in all."""

    def __init__(self, most: float) -> None:
        self._most = most

    def check(self, field: str, value: Mapping[str, str]) -> None:
        for name, text in value.items():
            if not _VARIABLE.match(name) or "\0" in text:
                raise InvalidRequest(f"{field}: {name!r:.40} = {text!r:.40} is not a name and a text")
        if sum(len(name) + len(text) for name, text in value.items()) > self._most:
            raise InvalidRequest(f"{field} is larger than {self._most} bytes")


class Words:
    """A command line: the program, and its arguments, without NUL."""

    def check(self, field: str, value: Sequence[str]) -> None:
        for at, word in enumerate(value):
            if "\0" in word:
                raise InvalidRequest(f"argument {at} is no text without NUL: {word!r:.40}")


class OneOf:
    """Texts, each of which is one of ``known``."""

    def __init__(self, known: Sequence[str], what: str) -> None:
        self._known, self._what = known, what

    def check(self, field: str, value: Sequence[str]) -> None:
        for text in value:
            if text not in self._known:
                raise InvalidRequest(
                    f"{field}: there is no {self._what} {text!r:.60}", hint=f"known: {', '.join(self._known)}"
                )


class IpAddress:
    """An address of the host, of IPv4 or IPv6, in numbers."""

    def check(self, field: str, value: str) -> None:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise InvalidRequest(f"{field} must be an IP address, not {value!r:.60}") from None


class Reached:
    """By the ids of sessions, two offsets each."""

    def check(self, field: str, value: Mapping[str, Sequence[int]]) -> None:
        for key, pair in value.items():
            if not SESSION_ID.match(key) or len(pair) != 2 or not all(0 <= at <= MAX_OFFSET for at in pair):
                raise InvalidRequest(f"{field}: {key!r:.40} = {pair!r:.40} is not a session and two offsets")


EVENT_KINDS: Final = (
    "created", "started", "paused", "resumed", "stopped", "died", "failed", "lost", "adopted", "removed",
    "acknowledged", "trouble", "recovered", "alert", "session-started", "session-exited", "session-removed", "oom",
    "allow-list", "connected", "disconnected", "refused", "unreachable", "core-started", "core-stopped",
)  # fmt: skip
"""What can happen; docs/protocol.md says what each means."""

RequestId = Annotated[str, Ascii(0)]
OpId = Annotated[str, Ascii(1)]
ClientId = Annotated[str, Characters(MAX_ID)]
SessionId = Annotated[str, Hexadecimal()]
StepKey = Annotated[str, Key()]
Name = Annotated[str, SandboxName()]
Text = Annotated[str, Characters()]
GuestPath = Annotated[str, Characters(absolute=True)]
MountPoint = Annotated[str, Characters(absolute=True), OwnFolder()]
Argv = Annotated[list[str], Words()]
Environment = Annotated[dict[str, str], Pairs(MAX_ENVIRONMENT)]
Variables = Annotated[dict[str, str], Pairs(math.inf)]
"""Of one program: execve(2) bounds them together with its arguments."""

Processors = Annotated[int, _whole(1, 64)]
Memory = Annotated[int, _whole(128, 1 << 22, " MiB")]
"""112 MiB is what a guest still boots with (it leaves 30 MiB to programs); with 96 its kernel panics, with 64 it
resets without a word."""
Disk = Annotated[int, _whole(16, 1 << 24, " MiB")]
Bytes = Annotated[int, Number(4096, 1 << 44, "a number of bytes from 4,096")]
FileMode = Annotated[int, Number(0, 0o7777, "permission bits, 0 to 4095 (octal 7777)")]
Port = Annotated[int, _whole(1, MAX_PORT)]
AnyPort = Annotated[int, _whole(0, MAX_PORT)]
HostAddress = Annotated[str, IpAddress()]
Side = Annotated[int, Number(1, MAX_WINDOW_SIDE, f"1 to {MAX_WINDOW_SIDE}")]
Offset = Annotated[int, Number(0, MAX_OFFSET, "an offset")]
Count = Annotated[int, Number(0, MAX_OFFSET, "a number, 0 or more")]
Time = Annotated[float, Number(0, MAX_OFFSET, "a number, 0 or more")]
Seconds = Annotated[float, Number(0, MAX_OFFSET, "a number of seconds")]
Timeout = Annotated[float, Number(0.0005, MAX_TIMEOUT_MS / 1000, "a number of seconds above 0")]
"""That a program may take, kept by its agent in milliseconds."""

Scope = Literal["leader", "group", "all"]
EventKinds = Annotated[list[str], OneOf(EVENT_KINDS, "kind of event")]
Offsets = Annotated[dict[str, list[int]], Reached()]
