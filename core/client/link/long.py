"""A request that is longer than a frame. Imported only for one."""

from __future__ import annotations

import errno

from sandtop.agent.wire import LONG, LONG_STREAM, MOST_LONG, Control, encode, excess, split
from sandtop.core.errors import InvalidRequest, SpawnError

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Any


def in_pieces(message: dict[str, Any]) -> bytes:
    """What announces ``message``, and all of it behind. Raises `InvalidRequest`, or `SpawnError` when no program can
    be given so much."""
    import json

    hint = "pass long input through stdin or a copied file"
    if message.get("op") != "session.exec":
        raise InvalidRequest("the request is larger than 1 MiB", hint=hint)
    text = json.dumps(message).encode("ascii")
    if len(text) > MOST_LONG:
        argv: list[str] = message.get("argv") or []
        env: dict[str, str] = message.get("env") or {}
        script = message.get("script")
        try:
            why = excess(argv if script is None else ["sh", "-c", script], env, -1)
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        if why is not None:
            raise SpawnError(f"{(argv or ['the program'])[0][:80]}: {why}", errno=errno.E2BIG, hint=hint)
        raise InvalidRequest(f"the request has {len(text):,} bytes, more than {MOST_LONG:,}", hint=hint)
    announcement = encode(Control({"type": "request", "op": LONG, "bytes": len(text)}))
    return announcement + b"".join(encode(piece) for piece in split(LONG_STREAM, 0, text))
