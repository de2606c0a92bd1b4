"""Sessions on a terminal."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .core_side import CoreSide

SIZE = {"rows": 33, "columns": 101}


def test_a_terminal_has_its_size_from_the_first(core: CoreSide) -> None:
    run = core.shell("stty size; tty; echo $TERM; echo err >&2; ps -o tty= -p $$", tty=SIZE)
    size, name, term, err, controlling = run.stdout.decode().splitlines()
    assert size == "33 101"
    assert name.startswith("/dev/pts/")
    assert term == "xterm-256color"
    assert err == "err", "stderr is the terminal too"
    assert f"/dev/{controlling.strip()}" == name
    assert run.record is not None
    assert run.record["stderr"] == 0


def test_it_belongs_to_the_user(core: CoreSide) -> None:
    run = core.shell("stat -c %U $(tty); echo mine > $(tty)", tty=SIZE, user="nobody")
    assert run.stdout == b"nobody\r\nmine\r\n"


def test_a_resize_is_told(core: CoreSide) -> None:
    run = core.start(
        "/bin/sh", "-c", "trap 'stty size; exit' WINCH; echo up; while :; do sleep 0.01; done", tty=SIZE
    )
    core.wait(lambda: run.stdout == b"up\r\n")
    assert core.operate("resize", id=run.id, rows=50, columns=140) is None
    core.finish(run)
    assert run.stdout == b"up\r\n50 140\r\n"


def test_what_is_typed_is_read_and_echoed(core: CoreSide) -> None:
    run = core.start("/bin/sh", "-c", "read line; echo got $line", tty=SIZE)
    core.write(run, b"hello\n")
    core.finish(run)
    assert run.stdout == b"hello\r\ngot hello\r\n"


def test_a_key_is_acknowledged_with_its_echo_or_soon_without(core: CoreSide) -> None:
    run = core.start("/bin/sh", "-c", "echo up; read line; stty -echo; echo quiet; read line", tty=SIZE)
    core.wait(lambda: run.stdout == b"up\r\n")
    core.write(run, b"k")
    core.wait(lambda: run.stdout == b"up\r\nk")
    assert run.stdin.acked == 1, "before the echo, in the same write"
    core.write(run, b"\n")
    core.wait(lambda: run.stdout.endswith(b"quiet\r\n"))
    core.write(run, b"k")
    core.wait(lambda: run.stdin.acked == 3)
    assert run.stdout.endswith(b"quiet\r\n"), "there was no echo to wait for"
    core.write(run, b"\n")
    core.finish(run)


def test_the_interrupt_key_interrupts(core: CoreSide) -> None:
    run = core.start(
        "/bin/sh", "-c", "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 0.01; done", tty=SIZE
    )
    core.wait(lambda: run.stdout == b"up\r\n")
    core.write(run, b"\x03")
    core.finish(run)
    assert run.stdout.endswith(b"caught\r\n")
    assert run.record is not None
    assert run.record["code"] == 5


def test_the_end_of_input_is_the_end_of_file_character(core: CoreSide) -> None:
    run = core.start("cat", tty=SIZE)
    core.write(run, b"line\n")
    core.close(run)
    core.finish(run)
    assert run.stdout == b"line\r\nline\r\n"
    assert run.record is not None
    assert run.record["code"] == 0


def test_a_signal_to_the_group_goes_to_the_foreground(core: CoreSide) -> None:
    script = (
        "set -m; sh -c 'trap \"echo front; exit\" TERM; echo up; while :; do sleep 0.01; done'; echo back"
    )
    run = core.start("/bin/sh", "-c", script, tty=SIZE)
    core.wait(lambda: b"up\r\n" in run.stdout)
    assert core.operate("signal", id=run.id, signal=signal.SIGTERM, scope="group") is None
    core.finish(run)
    assert run.stdout.startswith(b"up\r\n")
    assert run.stdout.endswith(b"front\r\nback\r\n"), "the shell that waits for it was not meant"


def test_all_that_was_written_before_the_end_arrives(core: CoreSide) -> None:
    run = core.run("/bin/sh", "-c", "stty -opost; seq 1 300000", tty=SIZE)
    assert run.stdout == b"".join(b"%d\n" % n for n in range(1, 300_001))


def test_a_terminal_that_was_let_go_is_not_the_end(core: CoreSide) -> None:
    script = "echo one >/dev/tty; exec <&- >&- 2>&-; sleep 0.2; echo two >/dev/tty"
    run = core.run("/bin/sh", "-c", script, tty=SIZE)
    assert run.stdout == b"one\r\ntwo\r\n"


def test_an_orphan_on_the_terminal_does_not_hold_the_session(core: CoreSide) -> None:
    run = core.run("/bin/sh", "-c", "trap '' HUP; yes & sleep 0.1; exit 3", tty=SIZE)
    assert run.record is not None
    assert run.record["code"] == 3


def test_a_terminal_nobody_reads_costs_nobody_anything(core: CoreSide) -> None:
    run = core.start("yes", tty=SIZE, frozen=True)
    core.serve(0.5)
    assert core.ping() < 10
    core.operate("signal", id=run.id, signal=9, scope="all")
    core.thaw(run)
    core.finish(run)


def test_limits_and_a_terminal_together(core: CoreSide) -> None:
    run = core.shell(
        "ulimit -n; stty size; ps -o tty= -p $$ | cut -c1-4", tty=SIZE, rlimits={"nofile": [50, 50]}
    )
    assert run.stdout == b"50\r\n33 101\r\npts/\r\n"


def test_the_rest_of_an_ended_terminal_waits_for_credit_alone(core: CoreSide) -> None:
    """Its window is full and the terminal empty when it ends: no event will ever tell the agent to look again."""
    run = core.start(
        "/bin/sh", "-c", "stty -opost -echo; head -c 65536 /dev/zero; read line", tty=SIZE, frozen=True
    )
    core.serve(0.5)
    core.write(run, b"\n")
    core.serve(0.3)
    core.thaw(run)
    core.finish(run)
    assert run.stdout == bytes(65536)
