"""Every limit that both ends of a link must agree on, once: numbers alone, for whatever starts imports them.

``docs/protocol.md`` says what each side answers to what is beyond them.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see frames.py
if TYPE_CHECKING:
    from typing import Final

MAX_PAYLOAD: Final = 1 << 20
"""The largest payload of a frame in bytes."""
MAX_DATA: Final = 128 * 1024
"""The most data bytes a sender puts into one frame, and so the most that a control frame waits behind."""
MAX_OFFSET: Final = (1 << 63) - 1
"""The last offset of a stream."""
MAX_CONTROL_QUEUE: Final = 4096
"""Control messages that may wait for a peer that does not read; one more is a ProtocolError."""

MAX_HELLO_VALUES: Final = 20_000
"""JSON values in an agent's hello, which may be as long as a frame: it lists up to `MAX_SESSIONS`."""
MAX_AGENT_MESSAGE: Final = 64 * 1024
MAX_AGENT_VALUES: Final = 4096
"""Bytes, and JSON values, of any other message of an agent's: the largest is an exit record with its text."""

MAX_NAME: Final = 63
"""Characters of a sandbox's name, which is its host name (RFC 1123: a label)."""
MAX_SESSIONS: Final = 512
"""Sessions of one agent that run, have ended and whose record the core has not stored, or left something running."""
MAX_SESSION_ID: Final = 64
"""Characters."""
MAX_SESSION_NUMBER: Final = (1 << 30) - 1
"""A session has four streams, and a stream's number has 32 bits."""
MAX_OP: Final = 128
"""Characters of an operation's ``op``."""
MAX_WINDOW_SIDE: Final = 10_000
"""Rows, and columns, of a terminal's window; at least one of each."""
MAX_TIMEOUT_MS: Final = 10 * 365 * 86_400_000
MAX_GRACE_MS: Final = 600_000
"""Milliseconds that programs may take to end at a shutdown."""
MAX_RLIMIT: Final = (1 << 63) - 1
"""A resource limit that is one; -1 is none."""
MAX_PROCESSES: Final = 1 << 22
"""Processes that a kernel can have, and so the highest pid (PID_MAX_LIMIT)."""

PIPE_WINDOW: Final = 512 * 1024
"""Bytes of output that the agent may be ahead of the log, for each stream of a session without a tty …"""
TTY_WINDOW: Final = 256 * 1024
"""… and of one with a tty: what a ``configure`` gives when nothing else is wanted."""
LEAST_WINDOW: Final = 4 << 10
MOST_WINDOW: Final = 64 << 20
"""What a ``configure`` may give."""

# How much a program can be given: Linux's own numbers (fs/exec.c: MAX_ARG_STRLEN, ARG_MAX and bprm_stack_limits).
MAX_STRING: Final = 131_071
"""Bytes of one argument, or of one variable with its name and ``=``; the kernel counts the NUL behind it, too."""
LEAST_ARGUMENTS: Final = 128 << 10
MOST_ARGUMENTS: Final = 6 << 20
"""Bytes of all arguments and variables, whatever the stack's limit is."""
MOST_LONG: Final = 6 * MOST_ARGUMENTS + (2 << 20)
"""Bytes of a message that is longer than a frame: JSON takes up to six for a byte of an argument, and there are its
other fields."""
