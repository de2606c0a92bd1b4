"""What ``just nested test`` runs in the outer machine: ``python -m tests.nested.suite``.

The tests that KVM matters to; those that the channel matters to, too, over each channel. What ran, and how long each
took, is one table in the end and in ``$RESULTS/tests.md``. In an outer machine that takes the place of one that broke
down, what ended there is not run again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest
from tests.nested.ran import Ran, read

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
tests that show the same of KVM or of the channel, one."""
_NEITHER: Final = (
    "not test_bad_input_is_its_own_error and not test_a_timeout_kills_all "
    "and not test_clones_without_the_hosts_entropy_are_alike"
)
"""The ten that see what the command line refuses; and two that take more than a minute each, and show what the others
show: how an end is told, and that clones are not alike."""
NOT: Final = {
    Channel.VIRTIO_SERIAL: _NEITHER,
    Channel.VSOCK: f"{_NEITHER} and not test_running_out_of_memory",
}
"""What is left out."""
AT_ONCE: Final = {Channel.VIRTIO_SERIAL: 2, Channel.VSOCK: 1}
"""Tests that run at the same time. With two over vsock the outer machine broke down each few minutes (QEMU 10.0, four
times in two runs), with one never in 25 minutes: see `tests.nested.run`."""
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
    """The tests for this channel that did not end in an outer machine before this one; pytest's exit status, or 1."""
    kept = _kept(channel, results)
    done = read(kept)
    ours = f'boot_seconds = 600\nchannel = "{channel.value}"\n'
    asked = os.environ.get("SANDTOP_TEST_SETTINGS", "")
    environment = {
        "SANDTOP_TEST_SLOWER": _SLOWER,
        "SANDTOP_CHAOS_ROUNDS": _ROUNDS,
        **os.environ,
        "SANDTOP_TEST_SETTINGS": f"{settings}{ours}{asked}",
        "RAN": str(kept),
    }
    _say(f"\n==> over {channel.value}" + (f", without the {len(done)} that ended before" if done else ""))
    argv = [
        sys.executable, "-m", "pytest", "-v", "-m", "vm", "-k", NOT[channel],
        "-n", str(AT_ONCE[channel]), "--dist", "loadfile", "--tb=short",
        "-p", "tests.nested.ran", *(f"--deselect={each.name}" for each in done), *RUNS[channel],
    ]  # fmt: skip
    status = subprocess.run(argv, env=environment, check=False).returncode
    if status == pytest.ExitCode.NO_TESTS_COLLECTED and done:
        status = 0
    return status or int(any(each.outcome == "failed" for each in done))


def _kept(channel: Channel, results: Path) -> Path:
    return results / f"{channel.value}.jsonl"


def table(results: Path) -> str:
    """What ran, as Markdown: a row for each test, a column of seconds for each channel."""
    ran = {channel: found for channel in RUNS if (found := read(_kept(channel, results)))}
    rows: defaultdict[str, dict[Channel, str]] = defaultdict(dict)
    for channel, tests in ran.items():
        for test in tests:
            rows[test.name.removeprefix("tests/").replace(".py::", "::")][channel] = _outcome(test)
    lines = ["| test | " + " | ".join(ran) + " |", "|---|" + "---:|" * len(ran)]
    for name, seen in sorted(rows.items()):
        lines.append(f"| {name} | " + " | ".join(seen.get(channel, "") for channel in ran) + " |")
    counts = [f"{len(tests)} in {sum(test.seconds for test in tests):.0f} s" for tests in ran.values()]
    return "\n".join([*lines, "| all | " + " | ".join(counts) + " |", ""])


def failures(results: Path) -> str:
    """Why tests failed, also those whose outer machine broke down before pytest said so."""
    said = [
        f"\n==> {test.name} over {channel.value}\n{test.why}\n"
        for channel in RUNS
        for test in read(_kept(channel, results))
        if test.outcome == "failed"
    ]
    return "".join(said)


def _outcome(test: Ran) -> str:
    if test.outcome == "skipped":
        return f"skipped: {test.why}"
    return f"{test.seconds:.1f} s" if test.outcome == "passed" else "**failed**"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """0 when all tests passed over both channels."""
    results, begun = Path(os.environ["RESULTS"]), time.monotonic()
    again = ", after another broke down" if any(_kept(each, results).exists() for each in RUNS) else ""
    settings = _accelerator()
    statuses = [run(channel, settings, results) for channel in RUNS]
    shown = f"{table(results)}\n{time.monotonic() - begun:.0f} s in the outer machine{again}\n"
    (results / "tests.md").write_text(shown)
    _say(f"{failures(results)}\n{shown}")
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
