"""The limits that both ends of a link must agree on. Numbers only, because everything imports this when it starts.

``docs/protocol.md`` says what each side answers to what exceeds them.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see frames.py
if TYPE_CHECKING:
    from typing import Final

MAX_PAYLOAD: Final = 1 << 20
"""The largest payload of a frame in bytes."""
MAX_DATA: Final = 128 * 1024
"""Data bytes that a sender puts into one frame at the most, and so the most that a control frame has to wait for."""
MAX_OFFSET: Final = (1 << 63) - 1
"""The last offset of a stream."""
MAX_CONTROL_QUEUE: Final = 4096
"""Control messages that may be queued for a peer that does not read; one more is a ProtocolError."""

MAX_HELLO_VALUES: Final = 20_000
"""JSON values in an agent's hello, which lists up to `MAX_SESSIONS` sessions and may be as long as a frame."""
MAX_AGENT_MESSAGE: Final = 64 * 1024
MAX_AGENT_VALUES: Final = 4096
"""Bytes, and JSON values, of any other message from an agent. The largest is an exit record with its message."""

MAX_NAME: Final = 63
"""Characters of a sandbox's name, which is its host name (RFC 1123: a label)."""
MAX_SESSIONS: Final = 512
"""Sessions of one agent that run, or whose exit record the core has not stored, or that left processes running."""
MAX_SESSION_ID: Final = 64
"""Characters."""
FIRST_CONNECTION: Final = 1 << 31
"""The stream of the first TCP connection into the guest, and those behind it of others; sessions have those before."""
FIRST_DIALED: Final = 3 << 30
LAST_STREAM: Final = (1 << 32) - 1
"""Of the first TCP connection out of the guest, and the last number that a stream can have."""
MAX_SESSION_NUMBER: Final = FIRST_CONNECTION // 4 - 1
"""Follows from the four streams that a session has."""
MAX_CONNECTIONS: Final = 1024
MAX_DIALED: Final = 1024
"""TCP connections into one guest, and out of it, that there are at once."""
DIAL_CREDIT: Final = 16 << 10
"""Bytes that the agent may send on a connection out of the guest before it has heard of the core's credit."""
MAX_CONNECT_MS: Final = 60_000
"""Milliseconds that one may take to come to stand."""
MAX_PORT: Final = 65_535
MAX_OP: Final = 128
"""Characters of an operation's ``op``."""
MAX_WINDOW_SIDE: Final = 10_000
"""Rows, and columns, of a terminal's window; at least one of each."""
MAX_TIMEOUT_MS: Final = 10 * 365 * 86_400_000
MAX_GRACE_MS: Final = 600_000
"""Milliseconds that programs may take to end at a shutdown."""
MAX_RLIMIT: Final = (1 << 63) - 1
"""The largest resource limit; -1 stands for none."""
MAX_PROCESSES: Final = 1 << 22
"""Processes that a kernel can have, and so the highest pid (PID_MAX_LIMIT)."""

FILE_WINDOW: Final = 1 << 20
"""Bytes of a call about files, in one direction, that may be on their way before their receiver has taken them."""
FILE_PIECE: Final = 120 * 1024
"""Bytes of a call's stream in a frame: so many that it fits, with its header, the frame of the stream it travels in."""
FILE_AT_ONCE: Final = 64 * 1024
"""Bytes of a file that a client may send with its request: so many fit a socket's buffer, whatever is made of them."""
MAX_CALLS: Final = 64
"""Calls about files that one file server carries out at a time."""

PIPE_WINDOW: Final = 512 * 1024
"""Bytes of output that the agent may be ahead of the log, for each stream of a session on pipes …"""
TTY_WINDOW: Final = 256 * 1024
"""… and of a session on a terminal; unless ``configure`` sets others."""
LEAST_WINDOW: Final = 4 << 10
MOST_WINDOW: Final = 64 << 20
"""Least and largest window that ``configure`` may set."""

# How much a program can be given: Linux's own numbers (fs/exec.c: MAX_ARG_STRLEN, ARG_MAX and bprm_stack_limits).
MAX_STRING: Final = 131_071
"""Bytes of one argument, or of one variable with its name and ``=``; the kernel counts the NUL behind it, too."""
LEAST_ARGUMENTS: Final = 128 << 10
MOST_ARGUMENTS: Final = 6 << 20
"""Bytes of all arguments and variables that a program can have at least and at the most, by the limit of its stack."""
MOST_LONG: Final = 6 * MOST_ARGUMENTS + (2 << 20)
"""Bytes of a message that is longer than a frame. In JSON a byte of an argument takes up to six; the rest is for the
message's other fields."""
