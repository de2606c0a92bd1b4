"""``sandtop doctor``: what this machine lacks, and the command that provides it."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Final

from sandtop.core import paths
from sandtop.core.cli import say
from sandtop.core.errors import EXIT_SANDTOP_FAILED
from sandtop.core.findings import Verdict
from sandtop.core.place import here

from ._args import Parser
from ._output import STDOUT, write, write_json
from ._text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandtop.core.findings import Finding

_COLOURS: Final = {Verdict.OK: "\033[32m", Verdict.WARN: "\033[33m", Verdict.FAIL: "\033[31m"}
_PLAIN: Final = "\033[0m"
_WIDTH: Final = len("user-namespaces")


def doctor_main(argv: Sequence[str]) -> int:
    """Print the findings. Returns 0 when a sandbox can start here."""
    parser = Parser(
        "doctor",
        "[--json]",
        "Look at what sandtop needs of this machine. Exits non-zero when a sandbox could not start.",
        "  sandtop doctor\n  sandtop doctor --json",
    )
    parser.json()
    as_json: bool = parser.parse_args(argv).json
    findings: list[Finding] = []
    release, seen = _look()
    for finding in seen:
        findings.append(finding)
        if not as_json:
            write(_lines(finding))
    failed = [finding.name for finding in findings if finding.verdict is Verdict.FAIL]
    if as_json:
        rows = [dataclasses.asdict(finding) for finding in findings]
        write_json({"ok": not failed, "release": release, "findings": rows})
    elif failed:
        mend = " (run: sandtop setup)" if release else ""
        say(f"no sandbox can start here before this is mended: {', '.join(failed)}{mend}")
    return EXIT_SANDTOP_FAILED if failed else 0


def _look() -> tuple[str | None, Iterable[Finding]]:
    """The Debian release of guests here, and what is found; the host alone where sandtop cannot run."""
    host = here()
    if host.refusal is not None:
        return None, [host.finding]
    from sandtop.core.doctor import examine, release_of  # of what this imports some is there on Linux alone

    found = paths.find()
    return release_of(found), examine(found)


def _lines(finding: Finding) -> str:
    verdict = f"{finding.verdict:<4}"
    if os.isatty(STDOUT) and not os.environ.get("NO_COLOR"):
        verdict = f"{_COLOURS[finding.verdict]}{verdict}{_PLAIN}"
    line = f"{verdict}  {finding.name:<{_WIDTH}}  {visible(finding.detail)}\n"
    return f"{line}{'':<{_WIDTH + 8}}mend: {visible(finding.mend)}\n" if finding.mend else line
