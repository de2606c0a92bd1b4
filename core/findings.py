"""What `doctor` reports of a host: one row for each thing that it looked at."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """``FAIL`` is for what keeps a sandbox from starting; ``WARN`` for what is worse than it could be."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what; part of the stable surface of ``doctor --json``.
        detail: how it is, in one line.
        mend: the command, or what else to do, that makes it better; None when nothing is to be done.
    """

    name: str
    verdict: Verdict
    detail: str
    mend: str | None = None


def whoami() -> str:
    """The name of this user for a command to show, or the number where there is none, as in containers."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
