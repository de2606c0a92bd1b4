"""``sandtop exec`` in many sandboxes: one result, grouped by how it ended and what was written."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

import anyio

from sandtop.core.alike import Written, difference, grouped, headline
from sandtop.core.client.link import call_all, sandbox_listing
from sandtop.core.client.sdk import Outcome, outcomes
from sandtop.core.errors import EXIT_SANDTOP_FAILED, InvalidRequest, WrongState
from sandtop.core.phrases import ending

from ._args import labelled
from ._output import Progress, write, write_json
from ._text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandtop.core.client.sdk import Output, Sandbox

    from ._exec_request import Options

_MOST: Final = 64 << 10
"""Bytes of each stream that are kept of each sandbox."""
_NAMES: Final = 12
"""Names that a heading shows."""
_SHOWN: Final = 200
"""Lines of a group's output that are printed."""


def exec_many(options: Options) -> int:
    """Run the command in all that ``options`` choose, and print the groups. Returns the highest exit status."""
    _check(options)
    names, others = _chosen(options)
    found, number = anyio.run(_run, names, options)
    ended = {outcome.sandbox: outcome for outcome in [*found, *others]}
    if options.json:
        write_json(_as_json(ended))
    else:
        _print(ended)
    if number:
        return 128 + number
    return max((outcome.exit_code for outcome in ended.values()), default=0)


def _check(options: Options) -> None:
    for given, flag in ((options.stdin, "-i"), (options.tty, "-t"), (options.detach, "-d")):
        if given:
            raise InvalidRequest(
                f"{flag} is for one sandbox", hint="without it the command runs in many and has no input"
            )
    if not options.command:
        raise InvalidRequest("no command was given", hint="such as: sandtop exec --all -- uptime")


def _chosen(options: Options) -> tuple[list[str], list[Outcome]]:
    """The names of those that run, and the outcomes of those that were chosen by a label and do not run."""
    sandboxes = labelled(call_all(sandbox_listing()), options.label)
    running = [one.name for one in sandboxes if one.state == "running"]
    others = [] if options.all else [one for one in sandboxes if one.state != "running"]
    if not running and not others:
        which = " ".join(f"{name}={value}" for name, value in options.label or ())
        raise InvalidRequest(
            f"no sandbox has the label {which}" if which else "no sandbox runs", hint="see: sandtop ls"
        )
    errors = [WrongState(f"cannot exec in {one.name}: it is {one.state}", sandbox=one.name) for one in others]
    return running, [Outcome(one.name, error=error) for one, error in zip(others, errors, strict=True)]


async def _run(names: Sequence[str], options: Options) -> tuple[list[Outcome], int]:
    """The outcomes, and the signal that ended it; 0 for none."""
    command = options.command or []
    found: list[Outcome] = []
    caught = 0

    async def one(sandbox: Sandbox) -> Output:
        return await sandbox.exec(
            command[0],
            command[1:],
            cwd=options.cwd,
            env=dict(options.env or ()),
            user=options.user,
            timeout=options.timeout,
            rlimits={name: (pair[0], pair[1]) for name, pair in options.rlimit or ()},
            stderr="stdout" if options.stderr_to_stdout else None,
            max_output=_MOST,
        )

    def ended(outcome: Outcome) -> None:
        found.append(outcome)
        progress(f"{len(found)} of {len(names)} · {headline(grouped(_written(found)))}")

    async def watch(scope: anyio.CancelScope) -> None:
        nonlocal caught
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async for number in signals:
                caught = int(number)
                scope.cancel()  # each connection closes, and the core ends what ran for it
                return

    with Progress() as progress:
        async with anyio.create_task_group() as group:
            group.start_soon(watch, group.cancel_scope)
            await outcomes(names, one, options.timeout, ended)
            group.cancel_scope.cancel()
    return sorted(found, key=lambda outcome: names.index(outcome.sandbox)), caught


def _written(found: Sequence[Outcome]) -> list[tuple[str, Written]]:
    return [(outcome.sandbox, _of(outcome)) for outcome in found]


def _of(outcome: Outcome) -> Written:
    output = outcome.output
    if output is None:
        why = str(outcome.error).replace(outcome.sandbox, "it")
        return Written(f"error: {why}")
    record = output.record
    ended = ending(record.reason, output.exit_code, record.signal)
    return Written(ended, output.stdout, output.stderr, (record.stdout, record.stderr))


def _print(ended: Mapping[str, Outcome]) -> None:
    groups = grouped(_written([*ended.values()]))
    write(f"{headline(groups)}\n")
    for number, group in enumerate(groups):
        names = " ".join(group.names[:_NAMES])
        more = f" and {len(group.names) - _NAMES} more" if len(group.names) > _NAMES else ""
        write(f"\n== {len(group.names)} {visible(group.written.ended)}: {names}{more}\n")
        usual = groups[0].written
        compared = number > 0 and bool(usual.lines) and bool(group.written.lines)
        lines = difference(group.written, usual) if compared else group.written.lines
        if compared and not lines:
            lines = ["(the same output)"]
        text = "".join(f"{visible(line)}\n" for line in lines[:_SHOWN])
        left = len(lines) - _SHOWN
        write(text + (f"… {left} more lines\n" if left > 0 else "… cut\n" if group.written.cut else ""))


def _as_json(ended: Mapping[str, Outcome]) -> list[dict[str, object]]:
    groups = grouped(_written([*ended.values()]))
    place = {name: number for number, group in enumerate(groups) for name in group.names}
    found: list[dict[str, object]] = []
    for name, outcome in ended.items():
        output, error = outcome.output, outcome.error
        found.append({
            "sandbox": name,
            "group": place[name],
            "exit_code": outcome.exit_code if output or error else EXIT_SANDTOP_FAILED,
            "session": output.session if output else None,
            "reason": output.record.reason if output else None,
            "cause": output.record.cause if output else None,
            "stdout": output.stdout.decode(errors="replace") if output else "",
            "stderr": output.stderr.decode(errors="replace") if output else "",
            "truncated": output.truncated if output else False,
            "error": error.to_wire() if error else None,
        })  # fmt: skip
    return found
