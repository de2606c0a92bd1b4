"""``net.…``: what a sandbox with an allow-list may reach, and what it reached."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from sandtop.core.contract.net import EgressPage, NetAllow, NetDeny, NetLog, NetSecret
from sandtop.core.contract.sandbox import SandboxAnswer
from sandtop.core.daemon.dispatch import answers, makes
from sandtop.core.daemon.views import sandbox_view
from sandtop.core.egress import MOST_RULES, parse, rows_of, values_of
from sandtop.core.errors import InvalidRequest, NotFound, WrongState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandtop.core.daemon.dispatch import Core
    from sandtop.core.daemon.once import Work
    from sandtop.core.fleet import Sandbox

_SHOWN = 10
"""Lines of a list that an error names."""


def lines(rules: Iterable[str], name: str) -> tuple[str, ...]:
    """The lines that ``rules`` are, each once, for the sandbox ``name``. Raises `InvalidRequest`."""
    found = tuple(dict.fromkeys(str(parse(rule)) for rule in rules))
    if len(found) > MOST_RULES:
        raise InvalidRequest(
            f"the allow-list of {name} would have {len(found):,} lines: at most {MOST_RULES:,}",
            sandbox=name,
            hint="'*.example.com' stands for many names, and 192.0.2.0/24 for many addresses",
        )
    return found


@makes(NetAllow)
async def allow(core: Core, request: NetAllow, work: Work) -> SandboxAnswer:
    sandbox = _filtered(core, request.sandbox)
    before = sandbox.row.config.allow
    after = lines((*before, *_some(request.rules, sandbox)), sandbox.name)
    if after != before:
        sandbox.record.allow(after)
    return SandboxAnswer(sandbox=sandbox_view(sandbox))


@makes(NetDeny)
async def deny(core: Core, request: NetDeny, work: Work) -> SandboxAnswer:
    sandbox = _filtered(core, request.sandbox)
    before = sandbox.row.config.allow
    gone = lines(_some(request.rules, sandbox), sandbox.name)
    for line in gone:
        if line not in before and not work.repeated:
            raise NotFound(
                f"{line} is not on the allow-list of {sandbox.name}",
                sandbox=sandbox.name,
                hint=f"which has {_listed(before)}",
            )
    after = tuple(line for line in before if line not in gone)
    if after != before:
        sandbox.record.allow(after)
    if request.end:
        sandbox.egress.end_unallowed()
    return SandboxAnswer(sandbox=sandbox_view(sandbox))


@makes(NetSecret)
async def secret(core: Core, request: NetSecret, work: Work) -> SandboxAnswer:
    sandbox = _filtered(core, request.sandbox)
    if not request.secrets:
        raise InvalidRequest("which secrets are meant? None is named", sandbox=sandbox.name)
    new = {row.name: row for row in rows_of(request.secrets, sandbox.name)}
    config = sandbox.row.config
    before = {row.name: row for row in config.secrets}
    for row in new.values():
        known = before.get(row.name)
        if known is None or (known.host, known.port) != (row.host, row.port):
            has = ", ".join(f"{each.name}@{each.host}:{each.port}" for each in config.secrets) or "none"
            raise NotFound(
                f"{sandbox.name} has no secret {row.name} for {row.host}:{row.port}",
                sandbox=sandbox.name,
                hint=f"secrets are given when it is made; it has {has}",
            )
    rows = tuple(
        dataclasses.replace(row, file=new[row.name].file) if row.name in new else row
        for row in config.secrets
    )
    sandbox.egress.keys.vault.give(values_of(request.secrets))
    if rows != config.secrets:
        sandbox.record.configure(dataclasses.replace(config, secrets=rows))
    return SandboxAnswer(sandbox=sandbox_view(sandbox))


@answers(NetLog)
async def log(core: Core, request: NetLog) -> EgressPage:
    sandbox = _filtered(core, request.sandbox)
    return EgressPage(connections=sandbox.egress.history.after(request.after or 0))


def _filtered(core: Core, name: str) -> Sandbox:
    """The sandbox ``name``. Raises `NotFound`, and `WrongState` when it has no allow-list."""
    sandbox = core.fleet.get(name)
    if (network := sandbox.row.config.network) != "filtered":
        raise WrongState(
            f"{sandbox.name} has no allow-list: its network is {network}",
            sandbox=sandbox.name,
            hint="one that is made with --allow, or --network filtered, has one",
        )
    return sandbox


def _some(rules: Sequence[str], sandbox: Sandbox) -> Sequence[str]:
    if not rules:
        raise InvalidRequest("which names or addresses are meant? None is named", sandbox=sandbox.name)
    return rules


def _listed(lines: Sequence[str]) -> str:
    if not lines:
        return "nothing"
    more = f" and {len(lines) - _SHOWN:,} more" if len(lines) > _SHOWN else ""
    return ", ".join(lines[:_SHOWN]) + more
