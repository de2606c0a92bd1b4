"""A session that is followed: its protocol without I/O, events, and the operator's own terminal while it shows one."""

from __future__ import annotations

from sandtop.core.client import lazily

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from .attached import Past, returning, starting
    from .detach import DETACH_KEYS, DetachKeys
    from .ending import outcome, part
    from .events import Event, Exited, ExitRecord, Gap, Redrawn, Started, Stderr, Stdout
    from .following import STDERR, STDIN, STDOUT, Following, Reading, screen_of
    from .keys import depends_on_mode, key_bytes
    from .leftovers import Leftovers
    from .looking import Looking, Typing
    from .nonblocking import SharedOutput
    from .permission import allowed_here
    from .refusals import KINDS, allowed
    from .stream import EventStream
    from .tty import INPUT, OUTPUT, OwnTerminal

__all__ = [
    "DETACH_KEYS", "INPUT", "KINDS", "OUTPUT", "STDERR", "STDIN", "STDOUT", "DetachKeys", "Event", "EventStream",
    "ExitRecord", "Exited", "Following", "Gap", "Leftovers", "Looking", "OwnTerminal", "Past", "Reading", "Redrawn",
    "SharedOutput", "Started", "Stderr", "Stdout", "Typing", "allowed", "allowed_here", "depends_on_mode",
    "key_bytes", "outcome", "part", "returning", "screen_of", "starting",
]  # fmt: skip

__getattr__ = lazily(
    __name__,
    {
        "attached": ("Past", "returning", "starting"),
        "detach": ("DETACH_KEYS", "DetachKeys"),
        "ending": ("outcome", "part"),
        "events": ("Event", "ExitRecord", "Exited", "Gap", "Redrawn", "Started", "Stderr", "Stdout"),
        "following": ("STDERR", "STDIN", "STDOUT", "Following", "Reading", "screen_of"),
        "keys": ("depends_on_mode", "key_bytes"),
        "leftovers": ("Leftovers",),
        "looking": ("Looking", "Typing"),
        "nonblocking": ("SharedOutput",),
        "permission": ("allowed_here",),
        "refusals": ("KINDS", "allowed"),
        "stream": ("EventStream",),
        "tty": ("INPUT", "OUTPUT", "OwnTerminal"),
    },
)  # fmt: skip
