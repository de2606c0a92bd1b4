"""What ``just nested test`` runs in the outer machine: ``python -m tests.nested.suite``.

The tests that KVM matters to; those that the channel matters to, too, over each channel. What ran, and how long each
took, is one table in the end and in ``$RESULTS/tests.md``; beside it are pytest's own results.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from sandtop.core.machine import Channel

_BOOT: Final = "tests/core/guest/test_boot.py"
_KILLED: Final = "tests/vm/sessions/test_core_killed.py"
_ATTACH: Final = "tests/vm/sessions/test_attach.py"
_TEMPLATES: Final = "tests/vm/templates/test_templates.py"
_UNIQUE: Final = "tests/vm/templates/test_unique.py"

ONCE: Final = (
    "tests/core/machine/qemu/test_guest.py",
    f"{_BOOT}::test_what_a_sandbox_sees_and_keeps",
    "tests/agent/test_guest.py",
    "tests/vm/templates/test_entropy.py",
    f"{_UNIQUE}::test_clones_of_one_template_are_not_alike",
)
"""Machines by themselves, and what over vsock is among `VSOCK`."""
VSOCK: Final = ("tests/vm/sessions/test_vhost.py", f"{_KILLED}::test_while_a_sandbox_is_made")
EACH: Final = (
    "tests/core/machine/test_driver.py",
    "tests/vm/sessions/test_kvm.py",
    "tests/vm/sessions/test_cases.py",
    f"{_KILLED}::test_between_two_commands",
    f"{_KILLED}::test_a_core_that_is_stopped_and_started_finds_its_sessions",
    f"{_KILLED}::test_a_killed_machine_is_noticed_and_says_so",
    f"{_KILLED}::test_a_machine_that_hangs_holds_nobody_up_and_is_found_again",
    f"{_ATTACH}::test_leave_and_come_back_to_the_same_screen",
    f"{_ATTACH}::test_one_types_and_all_see",
    f"{_ATTACH}::test_keys_arrive_once_while_the_core_is_killed",
    "tests/vm/sessions/test_panes.py",
    f"{_TEMPLATES}::test_a_disk_of_its_own",
)
"""Over each channel: life cycle, doctor, the table of sessions, adoption, attach, two panes, templates, clones. Of
tests that show the same of KVM or of the channel, one; not the ten that see what the command line refuses."""
_NOT: Final = "not test_bad_input_is_its_own_error"
RUNS: Final = {Channel.VIRTIO_SERIAL: (*ONCE, *EACH), Channel.VSOCK: (*VSOCK, *EACH)}

_SLOWER: Final = "5"
"""Deadlines of tests are so many times as long as on other hosts: see `tests.settings.SLOWER`."""
_ROUNDS: Final = "2"
"""How often tests kill the core that do so again and again: a new one takes half a minute there."""
_TRIES: Final = 3


def _accelerator() -> str:
    """A line of settings by which the machines run under KVM, whatever this host's business.

    Whether the machine in the machine is ready in the time that KVM's trial has depends on how busy the host is. Where
    it was not, KVM is asked for: tests that went on without would prove nothing.
    """
    for _ in range(_TRIES):
        said = subprocess.run(["sandtop", "doctor"], capture_output=True, text=True, check=False).stdout
        line = next((each for each in said.splitlines() if " accelerator " in each), "")
        _say(line)
        if line.startswith("ok "):
            return ""
    return 'accelerator = "kvm"\n'


def run(channel: Channel, settings: str, results: Path) -> int:
    """The tests for this channel; pytest's exit status."""
    xml = results / f"{channel.value}.xml"
    ours = f'boot_seconds = 600\nchannel = "{channel.value}"\n'
    asked = os.environ.get("SANDTOP_TEST_SETTINGS", "")
    environment = {
        "SANDTOP_TEST_SLOWER": _SLOWER,
        "SANDTOP_CHAOS_ROUNDS": _ROUNDS,
        **os.environ,
        "SANDTOP_TEST_SETTINGS": f"{settings}{ours}{asked}",
    }
    _say(f"\n==> over {channel.value}")
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "-m",
        "vm",
        "-k",
        _NOT,
        "-n",
        "2",
        "--dist",
        "loadfile",
        "--tb=short",
        f"--junitxml={xml}",
        *RUNS[channel],
    ]
    return subprocess.run(argv, env=environment, check=False).returncode


def table(results: Path) -> str:
    """What ran, as Markdown: a row for each test, a column of seconds for each channel."""
    rows: defaultdict[str, dict[Channel, str]] = defaultdict(dict)
    sums: dict[Channel, float] = {}
    for channel in RUNS:
        xml = results / f"{channel.value}.xml"
        if not xml.exists():
            continue
        cases = list(ElementTree.parse(xml).iter("testcase"))
        for case in cases:
            rows[_name(case)][channel] = _outcome(case)
        sums[channel] = sum(float(case.get("time", "0")) for case in cases)
    lines = ["| test | " + " | ".join(sums) + " |", "|---|" + "---:|" * len(sums)]
    for name, seen in sorted(rows.items()):
        lines.append(f"| {name} | " + " | ".join(seen.get(channel, "") for channel in sums) + " |")
    counts = [
        f"{sum(channel in seen for seen in rows.values())} in {sums[channel]:.0f} s" for channel in sums
    ]
    return "\n".join([*lines, "| all | " + " | ".join(counts) + " |", ""])


def _name(case: ElementTree.Element) -> str:
    module = case.get("classname", "").removeprefix("tests.").replace(".", "/")
    return f"{module}::{case.get('name')}"


def _outcome(case: ElementTree.Element) -> str:
    for word in ("failure", "error", "skipped"):
        if (found := case.find(word)) is not None:
            return f"skipped: {found.get('message')}" if word == "skipped" else f"**{word}**"
    return f"{float(case.get('time', '0')):.1f} s"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """0 when all tests passed over both channels."""
    results, begun = Path(os.environ["RESULTS"]), time.monotonic()
    settings = _accelerator()
    statuses = [run(channel, settings, results) for channel in RUNS]
    shown = f"{table(results)}\n{time.monotonic() - begun:.0f} s in the outer machine\n"
    (results / "tests.md").write_text(shown)
    _say(f"\n{shown}")
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
