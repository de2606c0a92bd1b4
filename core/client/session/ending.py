"""How a session ended, as its exit status or as an error."""

from __future__ import annotations

from sandtop.core.errors import CoreFailure, MachineError, SpawnError

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeGuard


def outcome(result: Mapping[str, object], sandbox: str) -> int:
    """The exit status that ``result``, the end of a followed session, stands for.

    Raises `SpawnError` when the program never ran, `MachineError` when its sandbox died, or
    its agent's word on the end cannot be true, and `CoreFailure` when
    ``result`` does not say.
    """
    record, session = part(result, "record"), part(result, "session")
    reason, message = record.get("reason"), record.get("message")
    text = message if isinstance(message, str) and message else None
    if reason == "spawn":
        stage, number = record.get("stage"), record.get("errno")
        raise SpawnError(
            text or "the program could not be started",
            stage=stage if isinstance(stage, str) else "exec",
            errno=number if isinstance(number, int) else 0,
            sandbox=sandbox,
        )
    if reason == "vm-died":
        raise MachineError(
            f"sandbox {sandbox} ended before the program did: {text or 'its machine died'}",
            sandbox=sandbox,
            hint=f"see 'sandtop inspect {sandbox}'",
        )
    missing = record.get("missing")
    if reason == "unknown" or missing:
        raise MachineError(
            f"how the program in {sandbox} ended is not known: {text or 'no word on it'}"
            if reason == "unknown"
            else f"{missing} bytes of output that the agent of {sandbox} spoke of never came",
            sandbox=sandbox,
            hint=f"its agent may have been tampered with: sandtop restart {sandbox}",
        )
    status = session.get("exit_code")
    if not isinstance(status, int):
        raise CoreFailure(f"the core reported an end without an exit status ({reason})", sandbox=sandbox)
    return status


def part(result: Mapping[str, object], name: str) -> dict[str, object]:
    """The object ``name`` of ``result``; `sandtop.core.contract.codec` costs a hot command too much.

    Raises `CoreFailure` when there is none.
    """
    value = result.get(name)
    if not _is_object(value):
        raise CoreFailure(f"the core's answer lacks the {name}", hint="see its log")
    return value


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)
