"""What a ``session.exec`` asks for, checked, as the message that starts it."""

from __future__ import annotations

import errno
import math
import re
import resource
from typing import TYPE_CHECKING, Final, cast

from sandtop.agent.wire import excess
from sandtop.agent.wire.limits import MAX_RLIMIT, MAX_TIMEOUT_MS
from sandtop.core.daemon.steering import window_size
from sandtop.core.errors import InvalidRequest, SpawnError
from sandtop.core.fleet import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.fleet import Sandbox

SESSION_ID: Final = re.compile(r"[0-9a-f]{16}\Z")
RLIMITS: Final = frozenset(
    name[len("RLIMIT_") :].lower() for name in dir(resource) if name.startswith("RLIMIT_")
)


def start_message(sandbox: Sandbox, request: Mapping[str, object]) -> dict[str, object]:
    """The fields of the agent's ``start``. Raises `InvalidRequest` naming the sandbox and the field.

    And `SpawnError` for more than execve(2) takes, as far as that is known here: the agent has the last word.
    """
    try:
        builtin = request.get("builtin")
        if builtin is not None and not isinstance(builtin, dict):
            raise InvalidRequest("builtin must be an object")
        tty = request.get("tty")
        argv = [] if builtin is not None else _argv(sandbox, request)
        env = environment(request, "env", math.inf)
        limits = _rlimits(request.get("rlimits"))
        _check_size(sandbox, argv, env, limits, scripted=request.get("script") is not None)
        return {
            "argv": argv,
            "env": env,
            "cwd": _optional_text(request, "cwd"),
            "user": _optional_text(request, "user"),
            "timeout_ms": _timeout(request.get("timeout")),
            "rlimits": limits,
            "tty": window_size(cast("Mapping[str, object]", tty)) if isinstance(tty, dict) else None,
            "stdin": request.get("stdin") is True,
            "builtin": builtin,
        }
    except InvalidRequest as error:
        error.sandbox = sandbox.name
        raise


def _argv(sandbox: Sandbox, request: Mapping[str, object]) -> list[str]:
    script, argv = request.get("script"), request.get("argv")
    if script is not None:
        if not isinstance(script, str) or "\0" in script:
            raise InvalidRequest("the script must be text without NUL")
        return [sandbox.row.config.shell, "-c", script]
    if not isinstance(argv, list) or not argv:
        raise InvalidRequest("there is no command to run", hint="give it after --")
    words = cast("list[object]", argv)
    for at, word in enumerate(words):
        if not isinstance(word, str) or "\0" in word:
            raise InvalidRequest(f"argument {at} is no text without NUL: {word!r:.40}")
    if not words[0]:
        raise InvalidRequest("the command is empty", hint="give a program's name after --")
    return cast("list[str]", argv)


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


def _optional_text(request: Mapping[str, object], field: str) -> str | None:
    value = request.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or not value or "\0" in value or len(value) > 4096:
        raise InvalidRequest(
            f"{field} must be a text of 1 to 4,096 characters without NUL, not {value!r:.60}"
        )
    return value


def _timeout(value: object) -> int | None:
    if value is None:
        return None
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not 0 < value <= MAX_TIMEOUT_MS / 1000
    ):
        raise InvalidRequest(f"a timeout is a number of seconds above 0, not {value!r:.40}")
    return max(1, round(value * 1000))


def _rlimits(value: object) -> dict[str, list[int]]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest("rlimits must be names with limits")
    checked: dict[str, list[int]] = {}
    for name, limits in cast("dict[object, object]", value).items():
        if not isinstance(name, str) or name not in RLIMITS:
            raise InvalidRequest(
                f"there is no resource limit {name!r:.40}", hint=f"known: {', '.join(sorted(RLIMITS))}"
            )
        pair = cast("list[object]", limits) if isinstance(limits, list) else []
        numbers = [number for number in pair if isinstance(number, int) and -1 <= number <= MAX_RLIMIT]
        if len(numbers) != 2 or len(pair) != 2:
            raise InvalidRequest(f"the limit {name} must be SOFT or SOFT:HARD, not {limits!r:.40}")
        soft, hard = numbers
        if hard != -1 and (soft == -1 or soft > hard):
            raise InvalidRequest(f"the limit {name} is {soft}, above its hard limit {hard}")
        checked[name] = numbers
    return checked
