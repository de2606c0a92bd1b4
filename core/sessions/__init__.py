"""Sessions: the programs that run in a sandbox, with their input, their output on disk and their exit records."""

from __future__ import annotations

from sandtop.core.sessions.input import STDIN, InputHolder
from sandtop.core.sessions.log import SessionLog
from sandtop.core.sessions.manager import SessionManager
from sandtop.core.sessions.output import STDERR, STDOUT
from sandtop.core.sessions.records import SessionExit, printable, spawn_message
from sandtop.core.sessions.retention import retire
from sandtop.core.sessions.session import Session

__all__ = [
    "STDERR",
    "STDIN",
    "STDOUT",
    "InputHolder",
    "Session",
    "SessionExit",
    "SessionLog",
    "SessionManager",
    "printable",
    "retire",
    "spawn_message",
]  # fmt: skip
