"""``sandtop bug-report``: versions, what doctor finds, settings and the core's log, without secrets."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from sandtop.core import paths
from sandtop.core.cli import say
from sandtop.core.client.link import call_running
from sandtop.core.contract.sandbox import SandboxList
from sandtop.core.errors import SandtopError
from sandtop.core.findings import whoami

from ._args import Parser
from ._output import write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_EXAMPLES: Final = """\
  sandtop bug-report > report.txt    # read it before you send it"""
_LOG_BYTES: Final = 64 << 10
_SANDBOX_FACTS: Final = (
    "state",
    "reason",
    "attention_kind",
    "cpus",
    "memory",
    "network",
    "accelerator",
    "restored",
)
"""What of a sandbox is told: not its name, image, labels, environment or commands."""

# a word that says secret, and what is behind it up to the end of the word or of the quotes; user and password of an URL
_SECRET: Final = re.compile(
    r"""(?ix) \b(\w*(?:token|secret|passw(?:or)?d|api_?key|credential|authorization)\w*["']?\s*[=:]\s*)
        (?: bearer\s+ )? ("[^"\n]*" | '[^'\n]*' | \S+)"""
)
_USERINFO: Final = re.compile(r"(?<=://)[^/\s@]+@")


def bug_report_main(argv: Sequence[str]) -> int:
    """Print the report."""
    parser = Parser(
        "bug-report",
        "",
        "Print what a report of a fault needs: versions, what doctor finds, the settings, the states of sandboxes and "
        "the end of the core's log. Names of sandboxes, commands, environments and output are not in it; your name, "
        "this host's name and what looks like a secret are left out.",
        _EXAMPLES,
    )
    parser.parse_args(list(argv))
    hide = Hide(whoami(), os.uname().nodename)
    for line in _report(paths.find()):
        write(hide(line) + "\n")
    say("read it before you send it: what looks like no secret is still there")
    return 0


class Hide:
    """Leaves secrets, the user's name and the host's out of a text. Root and localhost are nobody's names."""

    def __init__(self, user: str, host: str) -> None:
        names = {name: word for name, word in ((user, "USER"), (host, "HOST")) if name not in _NOBODYS}
        self._home = os.path.expanduser("~")
        self._names = [(re.compile(rf"(?<!\w){re.escape(name)}(?!\w)"), word) for name, word in names.items()]

    def __call__(self, text: str) -> str:
        text = _USERINFO.sub("***@", _SECRET.sub(r"\1***", text))
        if len(self._home) > 1:
            text = re.sub(rf"{re.escape(self._home)}(?!\w)", "~", text)
        for name, word in self._names:
            text = name.sub(word, text)
        return text


_NOBODYS: Final = ("", "root", "localhost")


def _report(found: paths.Paths) -> Iterator[str]:
    from sandtop.core.doctor import examine

    from .version import versions

    yield "== versions"
    for name, version in versions().items():
        yield f"{name}: {version}"
    yield "\n== doctor"
    for finding in examine(found):
        yield f"{finding.verdict:<4}  {finding.name}: {finding.detail}"
    yield f"\n== settings ({found.settings})"
    yield _end_of(found.settings) or "none: the defaults"
    yield "\n== sandboxes"
    yield from _sandboxes()
    yield f"\n== end of the core's log ({found.core_log})"
    yield _end_of(found.core_log) or "none"


def _end_of(path: Path) -> str:
    """The last lines of a file; nothing when it is not there."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LOG_BYTES))
            data = file.read()
    except OSError:
        return ""
    text = data.decode(errors="replace").strip("\n")
    return text.partition("\n")[2] if size > _LOG_BYTES else text


def _sandboxes() -> Iterator[str]:
    """Their states, from a core that runs: none is started for this."""
    try:
        result = call_running(SandboxList())
    except SandtopError as error:
        yield str(error)
        return
    if result is None:
        yield "no core runs"
        return
    for number, info in enumerate(result.sandboxes, 1):
        sandbox = info.to_json()
        facts = [f"{name} {sandbox[name]}" for name in _SANDBOX_FACTS if sandbox.get(name)]
        yield f"{number}: {', '.join(facts)}"
