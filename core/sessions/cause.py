"""Why a session ended badly, in a line: what its program said last, the limit that it reached, or who killed it.

docs/triage.md has the rules for readers. What a program says is hostile: the end of its output alone is looked at, and
what comes back is one bounded line of printable characters.
"""

from __future__ import annotations

import re
import signal as signal_names
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sandtop.core.phrases import byte_size, time_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.core.sessions.records import SessionExit

TAIL_BYTES: Final = 16 * 1024
"""Bytes at the end of a stream that are looked at for what its program said last."""
_MOST: Final = 200
"""Characters of a cause."""

_ALTERNATE: Final = re.compile(r"\x1b\[\?(?:1049|1047|47)h.*?(?:\x1b\[\?(?:1049|1047|47)l|\Z)", re.DOTALL)
_SEQUENCES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]"
)
_FRAMED: Final = re.compile(r"\A[=\-_*#~+|]{2,}\s+|\s+[=\-_*#~+|]{2,}\Z")
_ECHO: Final = re.compile(
    r"""(?x)
    make(\[\d+\])?:\ (\*\*\*|Entering|Leaving|Target)
    | exit\ status\ \d+ \Z
    | error:?\ command\ failed\ with\ exit\ code
    | npm\ (ERR!|error)\ +(A\ complete\ log|/)
    | Node\.js\ v\d
    | note:\ run\ with\ `RUST_BACKTRACE
    | goroutine\ \d+\ \[
    | (Aborted|Killed|Terminated|Segmentation\ fault|Hangup)(\ \(core\ dumped\))? \Z
    | (Try|See)\ ['`"]
    | (exit|logout) \Z
    """,
    re.IGNORECASE,
)
"""Lines that only say again that something failed, or where to read more."""
_WHAT: Final = re.compile(r"\s+what\(\):\s+\S")
_PLACE: Final = re.compile(r"\s+\S+:\d+( \+0x[0-9a-f]+)?\Z")


def last_words(tail: bytes, *, begun: bool = True) -> str:
    """The last line of ``tail``, the end of a stream, that says something; empty when none does.

    ``begun``: the stream begins with it; else its first line may be a part of one, and counts only if it is alone.
    """
    lines = shown_lines(tail.decode(errors="replace"))
    if not begun and len(lines) > 1:
        del lines[0]
    spoken = [number for number, line in enumerate(lines) if _says_something(line)]
    found = [n for n in spoken if not _is_context(lines[n]) and not _is_frame(lines, n)] or [
        n for n in spoken if not _ECHO.match(lines[n].strip())
    ]
    if not (found := found or spoken):
        return ""
    number = found[-1]
    said = _clean(lines[number])
    if said.endswith(":") and number + 1 < len(lines) and _says_something(lines[number + 1]):
        said = f"{said} {_clean(lines[number + 1])}"
    return said[:_MOST]


def cause_of(
    record: SessionExit, words: Callable[[], str], *, timeout_ms: int | None = None, by: str | None = None
) -> str | None:
    """What explains ``record`` beside its reason and number; None where nothing is known, or nothing is wrong.

    ``words``: what the program said last. ``timeout_ms``: how long it might take. ``by``: who sent the signal that
    ended it; empty when nobody did through sandtop, None when that is not known.
    """
    if record.reason == "exited":
        return words() or None if record.code or record.missing else None
    if record.reason == "oom":
        return None if record.memory_peak is None else f"{byte_size(record.memory_peak)} at its peak"
    if record.reason == "timeout":
        return None if timeout_ms is None else f"after its limit of {time_span(timeout_ms / 1000)}"
    if record.reason == "signaled":
        return _of_signal(record.signal or 0, words, by)
    return record.message[:_MOST] if record.message else None


def _of_signal(number: int, words: Callable[[], str], by: str | None) -> str | None:
    if by:
        return f"sent by {by}"[:_MOST]
    if said := words():
        return said
    described = ""
    with suppress(ValueError):
        described = (signal_names.strsignal(number) or "").lower()
    sent = number in (signal_names.SIGKILL, signal_names.SIGTERM, signal_names.SIGINT, signal_names.SIGHUP)
    if by is None or not sent:
        return described or None
    return f"{described}, sent in the sandbox" if described else "sent in the sandbox"


def shown_lines(text: str) -> list[str]:
    """The lines of ``text`` as they showed in the end, without control characters; those that are empty left out."""
    ended = max(text.rfind("\x1b[?1049l"), text.rfind("\x1b[?1047l"), text.rfind("\x1b[?47l"))
    begun = max(text.rfind("\x1b[?1049h"), text.rfind("\x1b[?1047h"), text.rfind("\x1b[?47h"))
    if ended > begun == -1:
        text = text[ended:]  # a full-screen program drew all that is before
    text = _SEQUENCES.sub("", _ALTERNATE.sub("", text))
    lines: list[str] = []
    for line in text.split("\n"):
        shown = next((part for part in reversed(line.split("\r")) if part.strip()), "")
        line = "".join(one if one.isprintable() else " " if one == "\t" else "" for one in shown)
        if line.strip():
            lines.append(line)
    return lines


def _says_something(line: str) -> bool:
    return any(one.isalnum() for one in line)


def _is_context(line: str) -> bool:
    """Whether ``line`` explains others (a stack frame, a piece of source), or only repeats that something failed."""
    if line[0] == " ":
        return not _WHAT.match(line)
    return _ECHO.match(line.strip()) is not None


def _is_frame(lines: list[str], number: int) -> bool:
    """Whether the line is a function's name, as Go prints it above the place in the source."""
    return number + 1 < len(lines) and _PLACE.match(lines[number + 1]) is not None


def _clean(line: str) -> str:
    """``line`` without what frames it, with single spaces."""
    return " ".join(_FRAMED.sub("", line.strip()[: 4 * _MOST]).split())
