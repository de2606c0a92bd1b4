"""What a ``session.exec`` asks for as the message that starts it, once it is known that the agent can do it."""

from __future__ import annotations

import errno
import resource
from typing import TYPE_CHECKING, Final

from sandtop.agent.wire import excess
from sandtop.agent.wire.limits import MAX_RLIMIT
from sandtop.core.contract.record import plain
from sandtop.core.errors import InvalidRequest, SpawnError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.contract.session import SessionExec
    from sandtop.core.fleet import Sandbox

RLIMITS: Final = frozenset(
    name[len("RLIMIT_") :].lower() for name in dir(resource) if name.startswith("RLIMIT_")
)


def start_message(sandbox: Sandbox, request: SessionExec) -> dict[str, object]:
    """The fields of the agent's ``start``. Raises `InvalidRequest` naming the sandbox.

    And `SpawnError` for more than execve(2) takes, as far as that is known here: the agent has the last word.
    """
    try:
        argv = [] if request.builtin is not None else _argv(sandbox, request)
        env, limits = request.env or {}, _rlimits(request.rlimits or {})
        _check_size(sandbox, argv, env, limits, scripted=request.script is not None)
    except InvalidRequest as error:
        error.sandbox = sandbox.name
        raise
    return {
        "argv": argv,
        "env": env,
        "cwd": request.cwd,
        "user": request.user,
        "timeout_ms": None if request.timeout is None else max(1, round(request.timeout * 1000)),
        "rlimits": limits,
        "tty": plain(request.tty),
        "stdin": request.stdin,
        "merge": request.merge,
        "awaited": request.awaited,
        "builtin": plain(request.builtin),
    }


def _argv(sandbox: Sandbox, request: SessionExec) -> list[str]:
    if request.script is not None:
        if "\0" in request.script:
            raise InvalidRequest("the script must be text without NUL")
        return [sandbox.row.config.shell, "-c", request.script]
    if not request.argv:
        raise InvalidRequest("there is no command to run", hint="give it after --")
    if not request.argv[0]:
        raise InvalidRequest("the command is empty", hint="give a program's name after --")
    return request.argv


def _check_size(
    sandbox: Sandbox, argv: list[str], env: dict[str, str], limits: dict[str, list[int]], *, scripted: bool
) -> None:
    stack = limits["stack"][0] if "stack" in limits else None
    try:
        why = excess(argv, {**sandbox.row.config.env, **env}, stack)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    if why is None:
        return
    hint = f"in {sandbox.name}; pass long input through stdin or a copied file"
    if scripted:
        why = f"the script is an argument of the shell: {why}"
        hint = f"copy it into the sandbox, or: sandtop exec -i {sandbox.name} -- {sandbox.row.config.shell} < FILE"
    program = argv[0] if argv else "the program"
    raise SpawnError(f"{program[:80]}: {why}", errno=errno.E2BIG, sandbox=sandbox.name, hint=hint)


def _rlimits(wanted: Mapping[str, list[int]]) -> dict[str, list[int]]:
    for name, pair in wanted.items():
        if name not in RLIMITS:
            raise InvalidRequest(
                f"there is no resource limit {name!r:.40}", hint=f"known: {', '.join(sorted(RLIMITS))}"
            )
        if len(pair) != 2 or not all(-1 <= number <= MAX_RLIMIT for number in pair):
            raise InvalidRequest(f"the limit {name} must be SOFT or SOFT:HARD, not {pair!r:.40}")
        soft, hard = pair
        if hard != -1 and (soft == -1 or soft > hard):
            raise InvalidRequest(f"the limit {name} is {soft}, above its hard limit {hard}")
    return dict(wanted)
