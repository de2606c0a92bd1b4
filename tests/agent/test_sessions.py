"""Programs, what goes in and out of them, and how they end: a real agent with real processes."""

from __future__ import annotations

import errno
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import HostedAgent
    from .core_side import CoreSide

BIG = 1 << 20


def outcome(record: object) -> dict[str, object]:
    """The part of a record that says how it ended."""
    assert isinstance(record, dict)
    return {key: record[key] for key in ("reason", "code", "signal", "stage", "errno") if key in record}


def test_a_program_runs(core: CoreSide) -> None:
    run = core.shell("echo out; echo err >&2; exit 7")
    assert (run.stdout, run.stderr) == (b"out\n", b"err\n")
    assert outcome(run.record) == {"reason": "exited", "code": 7}
    assert run.record is not None
    assert run.record["stdout"] == run.record["stderr"] == 4
    assert isinstance(run.pid, int)


@pytest.mark.parametrize("fields", [{}, {"awaited": True}, {"awaited": False}], ids=str)
def test_the_news_of_its_start_comes_whoever_waits_for_it(core: CoreSide, fields: dict[str, bool]) -> None:
    run = core.start("sleep", "1000", **fields)
    core.wait(lambda: run.pid is not None)
    assert core.operate("signal", id=run.id, signal=9, scope="all") is None
    core.finish(run)
    assert core.run("true", **fields).pid is not None


def test_its_environment_is_laid_over_the_sandboxs(core: CoreSide) -> None:
    run = core.shell("env", env={"OWN": "1", "HOME": "/elsewhere"})
    lines = set(run.stdout.decode().splitlines())
    assert {"FROM_SANDBOX=yes", "OWN=1", "HOME=/elsewhere", "USER=root", "LOGNAME=root"} <= lines
    assert "HOSTNAME=testbox" in lines
    assert not any(line.startswith("TERM=") for line in lines)


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_its_streams_can_be_opened_by_name(core: CoreSide, user: str) -> None:
    """Also by another user: the pipes are that user's."""
    for rlimits in (None, {"core": [0, 0]}):
        run = core.start(
            "/bin/sh",
            "-c",
            "cat /proc/self/fd/0 >/proc/self/fd/1; echo err >/proc/self/fd/2",
            user=user,
            stdin=True,
            rlimits=rlimits,
        )
        core.write(run, b"in\n")
        core.close(run)
        core.finish(run)
        assert (run.stdout, run.stderr) == (b"in\n", b"err\n")


def test_it_gets_nothing_of_the_agents(core: CoreSide) -> None:
    run = core.run(
        "/bin/sh", "-c", "ls -l /proc/self/fd; grep -E '^Sig(Ign|Blk)' /proc/self/status; pwd; umask"
    )
    assert b" 4 -> " not in run.stdout, "0 to 2, and the folder that ls itself reads"
    *_, blocked, ignored, folder, umask = run.stdout.decode().splitlines()
    assert blocked == "SigBlk:\t0000000000000000"
    assert int(ignored.split()[1], 16) & 0x7FFFFFFF == 0, "but for 32 and 33, which are glibc's own"
    assert (folder, umask) == ("/tmp", "0022")


@pytest.mark.parametrize(
    ("argv", "number", "words"),
    [
        (["nosuch"], errno.ENOENT, "nosuch: command not found"),
        (["/no/such"], errno.ENOENT, "/no/such: No such file"),
        (["/etc/passwd"], errno.EACCES, "/etc/passwd: Permission denied"),
        (["/etc"], errno.EACCES, "/etc: is a directory"),
        ([""], errno.ENOENT, "command not found"),
    ],
)
def test_a_program_that_cannot_run(core: CoreSide, argv: list[str], number: int, words: str) -> None:
    for rlimits in (None, {"core": [0, 0]}):  # by posix_spawn, and by fork
        run = core.run(*argv, rlimits=rlimits)
        assert outcome(run.record) == {"reason": "spawn", "stage": "exec", "errno": number}
        assert run.record is not None
        assert words in str(run.record["message"])
        assert run.pid is None


def test_a_program_without_a_format_or_with_a_lost_interpreter(
    core: CoreSide, tmp_path: os.PathLike[str]
) -> None:
    for name, content, number in (("text", "hello", errno.ENOEXEC), ("lost", "#!/no/such\n", errno.ENOENT)):
        path = os.path.join(tmp_path, name)
        with open(path, "w") as file:
            file.write(content)
        os.chmod(path, 0o755)
        run = core.run(path)
        assert outcome(run.record)["errno"] == number
        assert run.record is not None
        assert number == errno.ENOEXEC or "interpreter" in str(run.record["message"])


def test_the_path_is_that_of_its_environment(core: CoreSide, tmp_path: os.PathLike[str]) -> None:
    folders = [os.path.join(tmp_path, name) for name in ("folder", "locked", "good")]
    for folder in folders:
        os.mkdir(folder)
    os.mkdir(os.path.join(folders[0], "tool"))
    for folder, mode in ((folders[1], 0o644), (folders[2], 0o755)):
        with open(os.path.join(folder, "tool"), "w") as file:
            file.write("#!/bin/sh\necho found\n")
        os.chmod(os.path.join(folder, "tool"), mode)
    path = ":".join(["/no/such", *folders])
    assert core.run("tool", env={"PATH": f"{path}:/bin"}).stdout == b"found\n"
    assert outcome(core.run("tool", env={"PATH": folders[1]}).record)["errno"] == errno.EACCES
    assert core.run("tool", env={"PATH": ""}, cwd=folders[2]).stdout == b"found\n", (
        "an empty entry is the folder"
    )


def test_a_folder_to_run_in(core: CoreSide) -> None:
    assert core.run("pwd", cwd="/usr").stdout == b"/usr\n"
    assert core.run("pwd", cwd="..").stdout == b"/\n"
    for rlimits in (None, {"core": [0, 0]}):
        run = core.run("pwd", cwd="/no/such", rlimits=rlimits)
        assert outcome(run.record) == {"reason": "spawn", "stage": "cwd", "errno": errno.ENOENT}
        assert run.record is not None
        assert "/no/such" in str(run.record["message"])


STATUS = "grep -E '^(Uid|Gid|Groups|CapPrm|CapEff)' /proc/self/status"


@pytest.mark.parametrize("rlimits", [None, {"core": [0, 0]}])
def test_another_user_has_nothing_of_root_left(core: CoreSide, rlimits: object) -> None:
    run = core.run("/bin/sh", "-c", STATUS, user="12345:54321", rlimits=rlimits)
    words = [line.split() for line in run.stdout.decode().splitlines()]
    assert words == [
        ["Uid:", *["12345"] * 4],
        ["Gid:", *["54321"] * 4],
        ["Groups:"],
        ["CapPrm:", "0" * 16],
        ["CapEff:", "0" * 16],
    ]
    again = core.shell(STATUS)
    assert b"Uid:\t0\t0\t0\t0" in again.stdout, "and the agent is root again"
    assert b"CapEff:\t0000000000000000" not in again.stdout


def test_users_by_name(core: CoreSide) -> None:
    assert core.run("id", "-un", user="nobody").stdout == b"nobody\n"
    assert core.shell("echo $HOME $USER", user="nobody").stdout == b"/nonexistent nobody\n"
    run = core.run("id", user="nobodyatall")
    assert outcome(run.record) == {"reason": "spawn", "stage": "user", "errno": 0}
    assert run.record is not None
    assert "nobodyatall" in str(run.record["message"])


def test_a_user_who_may_not_enter_or_execute(core: CoreSide, tmp_path: os.PathLike[str]) -> None:
    os.chmod(tmp_path, 0o700)
    assert outcome(core.run("pwd", cwd=str(tmp_path), user="nobody").record) == {
        "reason": "spawn", "stage": "cwd", "errno": errno.EACCES,
    }  # fmt: skip
    tool = os.path.join(tmp_path, "tool")
    with open(tool, "w") as file:
        file.write("#!/bin/sh\n")
    os.chmod(tool, 0o755)
    assert outcome(core.run(tool, user="nobody").record)["errno"] == errno.EACCES
    assert core.run(tool).record is not None


def test_resource_limits(core: CoreSide) -> None:
    run = core.shell("ulimit -n; ulimit -Hn; ulimit -c", rlimits={"nofile": [64, 128], "core": [0, -1]})
    assert run.stdout == b"64\n128\n0\n"
    assert core.shell("ulimit -n", rlimits={"nofile": [77, 77]}, user="nobody").stdout == b"77\n"
    for rlimits in (None, {"core": [0, 0]}):
        assert core.shell("ulimit -n", rlimits=rlimits).stdout == b"1024\n"
    refused = core.start("true", rlimits={"nosuch": [1, 1]})
    core.wait(lambda: refused.refused is not None)
    assert "nosuch" in str(refused.refused)


def test_limits_too_tight_to_start_in_are_an_error_of_their_own(core: CoreSide) -> None:
    run = core.run("true", rlimits={"nofile": [1 << 40, 1 << 40]})
    assert outcome(run.record)["stage"] == "rlimits"


def test_signals_end_it(core: CoreSide) -> None:
    assert outcome(core.shell("kill -9 $$").record) == {"reason": "signaled", "signal": 9}
    run = core.start("sleep", "1000")
    core.wait(lambda: run.pid is not None)
    assert core.operate("signal", id=run.id, signal=signal.SIGTERM, scope="leader") is None
    core.finish(run)
    assert outcome(run.record) == {"reason": "signaled", "signal": signal.SIGTERM}


@pytest.mark.parametrize("scope", ["group", "all"])
def test_a_signal_reaches_the_children_too(core: CoreSide, scope: str) -> None:
    run = core.start(
        "/bin/sh",
        "-c",
        "trap 'wait; exit 3' TERM; (trap 'echo child; exit' TERM; echo up; while :; do sleep 0.01; done) & wait",
    )
    core.wait(lambda: run.stdout == b"up\n")
    assert core.operate("signal", id=run.id, signal=signal.SIGTERM, scope=scope) is None
    core.finish(run)
    assert run.stdout == b"up\nchild\n"
    assert outcome(run.record) == {"reason": "exited", "code": 3}


def test_a_kill_reaches_what_left_the_group(core: CoreSide, agent: HostedAgent) -> None:
    run = core.start("/bin/sh", "-c", "setsid sh -c 'setsid sleep 1000 & echo away; sleep 1000' & wait")
    core.wait(lambda: run.stdout == b"away\n")
    assert core.operate("signal", id=run.id, signal=signal.SIGKILL, scope="all") is None
    core.finish(run)
    assert outcome(run.record) == {"reason": "signaled", "signal": 9}
    assert agent.processes == []


def test_a_timeout_kills_all_of_it(core: CoreSide, agent: HostedAgent) -> None:
    begun = time.monotonic()
    run = core.shell("setsid sleep 1000 & echo up; sleep 1000", timeout_ms=300)
    assert outcome(run.record) == {"reason": "timeout", "signal": 9}
    assert run.stdout == b"up\n"
    assert time.monotonic() - begun >= 0.3
    assert agent.processes == []


def test_the_leaders_end_is_the_end_whatever_holds_its_output(core: CoreSide, agent: HostedAgent) -> None:
    run = core.shell("sleep 1000 & echo done")
    assert run.stdout == b"done\n"
    assert outcome(run.record) == {"reason": "exited", "code": 0}
    core.end_left(run)
    flood = core.shell("yes & head -c 10000 /dev/zero; exit 4")
    assert outcome(flood.record) == {"reason": "exited", "code": 4}
    assert flood.stdout.count(0) == 10000, "all that the leader wrote is there"
    core.end_left(flood)
    assert agent.processes == []


def test_output_of_every_kind_arrives_byte_for_byte(core: CoreSide) -> None:
    data = os.urandom(BIG)
    run = core.start("tee", "/dev/stderr", stdin=True)
    core.write(run, data)
    core.close(run)
    core.finish(run)
    assert run.stdout == data
    assert run.stderr == data


def test_words_that_are_not_utf_8_arrive(core: CoreSide) -> None:
    assert core.run("printf", "%s", "é\udcff\udc80").stdout == "é".encode() + b"\xff\x80"
    assert core.shell("printf %s $ODD", env={"ODD": "\udcfe"}).stdout == b"\xfe"


def test_single_bytes_arrive(core: CoreSide) -> None:
    run = core.run("/usr/bin/python3", "-c", "import os\nfor n in range(3000): os.write(1, bytes([n % 256]))")
    assert run.stdout == bytes(n % 256 for n in range(3000))


def test_without_stdin_there_is_nothing_to_read(core: CoreSide) -> None:
    assert core.run("cat").stdout == b""


def test_a_program_that_never_reads_stalls_nobody(core: CoreSide) -> None:
    deaf = core.start("sleep", "1000", stdin=True)
    core.write(deaf, bytes(8 * BIG))
    core.wait(lambda: deaf.stdin.acked >= 256 * 1024)
    assert core.ping() < 5
    other = core.start("cat", stdin=True)
    core.write(other, b"through")
    core.close(other)
    core.finish(other)
    assert other.stdout == b"through"
    assert deaf.stdin.acked < BIG, "what is accepted for it is bounded"
    core.operate("signal", id=deaf.id, signal=9, scope="leader")
    core.wait(lambda: deaf.ended)
    core.wait(lambda: deaf.stdin.acked == 8 * BIG)
    core.release(deaf)


def test_a_program_that_closed_its_stdin_takes_the_rest_to_nowhere(core: CoreSide) -> None:
    run = core.start("/bin/sh", "-c", "exec <&-; echo closed; sleep 1000", stdin=True)
    core.wait(lambda: run.stdout == b"closed\n")
    core.write(run, bytes(2 * BIG))
    core.close(run)
    core.wait(lambda: run.stdin.finished)
    core.operate("signal", id=run.id, signal=9, scope="leader")
    core.finish(run)


@pytest.mark.slow
def test_a_reader_that_does_not_read_stops_the_writer_and_loses_nothing(
    core: CoreSide, agent: HostedAgent
) -> None:
    run = core.start("/bin/sh", "-c", "seq 1 1000000; echo err >&2", frozen=True)
    core.send({"type": "ping", "seq": "x"})
    idle = _settled(core, agent)
    assert idle < 0.2, "the agent waits for credit without turning"
    assert run.stdout == b""
    core.thaw(run)
    core.finish(run)
    assert run.stdout == b"".join(b"%d\n" % n for n in range(1, 1_000_001))
    assert run.stderr == b"err\n"


def _settled(core: CoreSide, agent: HostedAgent) -> float:
    """Let a program fill all there is to fill; then the share of a CPU that the agent takes."""
    core.serve(1.0)
    before = agent.busy()
    core.serve(1.0)
    return agent.busy() - before


def test_what_an_ended_program_wrote_waits_for_credit(core: CoreSide) -> None:
    """More than the window: the rest stays in the pipe until the core has room, long after the program is gone."""
    run = core.start("head", "-c", str(1_200_000), "/dev/zero", frozen=True)
    core.wait(lambda: run.pid is not None)
    pid = run.pid
    core.serve(0.5)
    assert run.record is None
    core.thaw(run)
    core.finish(run)
    assert len(run.stdout) == 1_200_000
    assert outcome(run.record) == {"reason": "exited", "code": 0}
    assert pid is not None


def test_many_at_once_each_with_its_own(core: CoreSide) -> None:
    datas = [os.urandom(100_000) for _ in range(20)]
    runs = [core.start("cat", stdin=True) for _ in datas]
    for run, data in zip(runs, datas, strict=True):
        core.write(run, data)
        core.close(run)
    for run, data in zip(runs, datas, strict=True):
        core.finish(run)
        assert run.stdout == data


def test_orphans_are_reaped(core: CoreSide, agent: HostedAgent) -> None:
    run = core.start(
        "/bin/sh", "-c", "for n in 1 2 3; do (sleep 0.01 &) ; done; echo up; read line", stdin=True
    )
    core.wait(lambda: run.stdout == b"up\n")
    core.serve(0.3)
    tries = (
        "for n in $(seq 100); do grep -q 'State:.Z' /proc/[0-9]*/status || exit 0; sleep 0.1; done; exit 1"
    )
    found = core.shell(tries).record
    assert found is not None
    assert found["code"] == 0, "there are zombies"
    core.close(run)
    core.finish(run)


def test_a_builtin_of_no_name_is_an_error(core: CoreSide) -> None:
    run = core.run(builtin={"name": "nosuch"})
    assert outcome(run.record)["reason"] == "spawn"


@pytest.mark.parametrize("rlimits", [None, {"core": [0, 0]}])  # by posix_spawn, and by fork
def test_stderr_goes_where_stdout_does_when_asked(core: CoreSide, rlimits: object) -> None:
    run = core.shell("for n in 1 2 3; do echo out $n; echo err $n >&2; done", merge=True, rlimits=rlimits)
    assert run.stdout == b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"
    assert (run.stderr, run.record and run.record["stderr"]) == (b"", 0)
    assert core.shell('[ "$(readlink /proc/self/fd/1)" = "$(readlink /proc/self/fd/2)" ]', merge=True).record
