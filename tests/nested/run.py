"""Run commands on a machine where KVM works: ``just nested [test | bench | chaos | COMMAND...]``; a shell without any.

It is the outer machine (see `outer`), emulated, with a copy of this checkout as it is now. What the command prints is
printed here as it comes, its exit status is ours, and what it leaves in ``$RESULTS`` is in build/nested afterwards.
Everything else is gone with the machine.
"""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from tests.nested.lacks import MEMORY_MIB, TRANSLATED_MIB, lacks
from tests.nested.outer import CHECKOUT, find_or_build, shared_folder, tar_checkout

from sandtop.core import paths
from sandtop.core.errors import SandtopError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.nested.outer import Outer

_COMMANDS: Final = {
    "": "exec bash -i",
    "test": "exec python -m tests.nested.suite",
    "bench": "python bench/channels/run.py --accelerator kvm --rounds 20 --json $RESULTS/channels.json"
    " && exec python bench/machine/run.py --rounds 2 --idle 5 --json $RESULTS/machine.json",
    "chaos": "export SANDTOP_CHAOS_ROUNDS=${SANDTOP_CHAOS_ROUNDS:-100} SANDTOP_TEST_SLOWER=5 "
    "SANDTOP_TEST_SETTINGS='boot_seconds = 600\naccelerator = \"kvm\"'; "
    "exec python -m pytest -v -s -k both_ways tests/vm/sessions/test_vhost.py",
}
"""What the words stand for; others are a command. The benches have fewer rounds than elsewhere: all is some ten
times as slow there. In ``chaos`` the core is killed a hundred times over vsock, while bytes go both ways."""
_MACHINES: Final = 3
"""So many outer machines one run of the tests may take. QEMU emulates SVM almost right: with 7.2 one whole run in five
ended with the outer kernel's stack overrun by page faults within page faults, with 10.0 three did, six times. (They
began where the outer kernel still had the inner one's GS base, right behind a VMRUN; why is not known.) What ended
before is not run again."""
_LOOK_SECONDS: Final = 60.0
_STILL: Final = 2
"""An outer machine that took no processor's time in so many looks, one after the other, stands still. One did,
with all its processors halted and no timer to wake them."""
_PASSED_ON: Final = ("SANDTOP_TEST_SETTINGS", "SANDTOP_TEST_SLOWER", "SANDTOP_CHAOS_ROUNDS")
_RESULTS: Final = CHECKOUT / "build" / "nested"
_CPU: Final = "max,la57=off,erms=off,fsrm=off,smap=off,smep=off"
"""With erms the kernel's clear_page copies byte by byte, for minutes; la57 costs every page walk a level; the last two
harden a kernel against programs that are our own."""
_ARGUMENTS: Final = (
    "console=ttyS0 root=/dev/vda rw init=/sbin/nested-init panic=-1 mitigations=off no_timer_check tsc=reliable "
    "nokaslr norandmaps random.trust_cpu=on oops=panic"
)
"""The outer kernel's; for the reasons see `sandtop.core.machine.qemu.emulation.TCG_ARGUMENTS`."""


def _qemu(outer: Outer, share: Path, *, shell: bool) -> list[str]:
    """The command line of the outer machine: no network, nothing written but what goes into ``share``."""
    return [
        # it ends with this process however that ends
        "setpriv", "--pdeathsig", "KILL",
        "qemu-system-x86_64", "-M", "q35", "-accel", f"tcg,thread=multi,tb-size={TRANSLATED_MIB}", "-cpu", _CPU,
        "-smp", "2", "-m", f"{MEMORY_MIB}M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", str(outer.kernel), "-initrd", str(outer.initrd), "-append", _ARGUMENTS,
        "-drive", f"file={outer.disk},format=raw,if=virtio,snapshot=on,cache=unsafe,discard=unmap",
        "-fsdev", f"local,id=share,path={share},security_model=none",
        "-device", "virtio-9p-pci,fsdev=share,mount_tag=share",
        "-fsdev", f"local,id=cache,path={paths.find().cache},security_model=none,readonly=on",
        "-device", "virtio-9p-pci,fsdev=cache,mount_tag=cache",
        "-device", "virtio-rng-pci",
        "-serial", f"file:{share}/console",
        "-chardev", f"stdio,id=terminal,signal={'off' if shell else 'on'}",
        "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=terminal",
    ]  # fmt: skip


def run(command: str, *, shell: bool, machines: int = 1) -> int:
    """The exit status of ``command``, a shell's, in the outer machine; 125 when that did not get so far.

    Args:
        command: finds in ``$RESULTS`` what it left in the machines before.
        shell: stdin is its terminal.
        machines: so many are started, one after the other, while they break down before the command ends.
    """
    outer = find_or_build()
    with shared_folder() as share:
        shutil.copy(Path(__file__).with_name("init"), share)
        tar_checkout(share / "checkout.tar")
        (share / "results").mkdir()
        passed = [
            f"export {name}={shlex.quote(os.environ[name])}" for name in _PASSED_ON if name in os.environ
        ]
        # its terminal is always one; what is printed on here need not be
        plain = [] if sys.stdout.isatty() else ["export NO_COLOR=1 TERM=dumb"]
        (share / "environment").write_text("\n".join([*passed, *plain, "export RESULTS=/share/results", ""]))
        (share / "command").write_text(command + "\n")
        try:
            for left in reversed(range(machines)):
                _wait(_qemu(outer, share, shell=shell), shell=shell)
                with suppress(FileNotFoundError, ValueError):
                    return int((share / "status").read_text())
                _say_last(share / "console", "trying another" if left else "see above")
        finally:  # what there is by then, when somebody ends it
            if any((share / "results").iterdir()):
                shutil.copytree(share / "results", _RESULTS, dirs_exist_ok=True)
    return 125


def _wait(qemu: list[str], *, shell: bool) -> None:
    """Run ``qemu`` to its end, or until it stands still; a shell may wait for somebody to type."""
    with subprocess.Popen(qemu, stdin=None if shell else subprocess.DEVNULL) as machine:
        still, before = 0, -1
        try:
            while still < _STILL:
                with suppress(subprocess.TimeoutExpired):
                    machine.wait(None if shell else _LOOK_SECONDS)
                    return
                ticks = _ticks(machine.pid)
                still, before = still + 1 if ticks == before else 0, ticks
            sys.stderr.write("nested: the outer machine stands still: ending it\n")
        finally:
            machine.kill()  # nothing, when it has ended


def _ticks(pid: int) -> int:
    """Of the processor's time that the process took, ten a second (proc_pid_stat(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 10 // os.sysconf("SC_CLK_TCK")


def _say_last(console: Path, then: str) -> None:
    last = console.read_text(errors="replace").splitlines()[-20:] if console.exists() else []
    said = f"nested: the outer machine ended without a result: {then}"
    sys.stderr.write("\n".join([*last, said, ""]))


def _end(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(143)


def main(words: Sequence[str]) -> int:
    if (lack := lacks()) is not None:
        sys.stderr.write(f"nested: {lack}\n")
        return 125
    signal.signal(signal.SIGTERM, _end)
    said, begun = shlex.join(words), time.monotonic()
    try:
        status = run(_COMMANDS.get(said, said), shell=not words, machines=_MACHINES if said == "test" else 1)
    except KeyboardInterrupt:
        return 130
    except (SandtopError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"nested: {error}\n")
        return 125
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = used.ru_utime + used.ru_stime
    sys.stderr.write(f"nested: {time.monotonic() - begun:.0f} s, and {busy:.0f} s of a processor's time\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
