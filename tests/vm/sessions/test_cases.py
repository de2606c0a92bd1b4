"""What others get wrong (design §8), and what a session must survive, on a real machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.settings import SLOWER

from sandtop.agent.wire import Data, Frame
from sandtop.core.client.link import Conversation, Operation
from sandtop.core.contract.session import SessionLogs

from .conftest import PATIENCE, eventually

if TYPE_CHECKING:
    from .conftest import Home


def script(
    home: Home, box: str, text: str, *options: str, stdin: bytes = b""
) -> tuple[int, bytes, bytes, float]:
    """``sh -c text`` in the sandbox: exit status, stdout, stderr, seconds."""
    begun = time.monotonic()
    done = home.run("exec", *options, box, "--", "sh", "-c", text, stdin=stdin)
    return done.returncode, done.stdout, done.stderr, time.monotonic() - begun


def processes(home: Home, box: str, pattern: str) -> int:
    """How many processes of the sandbox have ``pattern`` on their command line."""
    counted = "import os,sys\nn=0\nfor p in os.listdir('/proc'):\n  if p.isdigit() and int(p)!=os.getpid():\n" \
        "    try: n += sys.argv[1].encode() in open(f'/proc/{p}/cmdline','rb').read().replace(b'\\0', b' ')\n" \
        "    except OSError: pass\nprint(n)"  # fmt: skip
    return int(home.do("exec", box, "--", "python3", "-c", counted, pattern))


def test_a_timeout_kills_all_that_the_exec_started(home: Home, box: str) -> None:
    # a child that left the session and its group holds the pipes open
    status, out, _, took = script(
        home, box, "setsid sleep 1234 & sleep 1234 & echo here; wait", "--timeout", "1.5"
    )
    assert (status, out) == (124, b"here\n")
    assert took < 10 * SLOWER
    record = home.last_session(box)["record"]
    assert record["reason"] == "timeout"
    assert 1400 <= record["duration_ms"] <= 5000 * SLOWER
    assert processes(home, box, "sleep 1234") == 0


def test_a_background_child_does_not_hold_the_exec_up(home: Home, box: str) -> None:
    status, out, _, took = script(home, box, "sleep 1235 & echo started")
    assert (status, out) == (0, b"started\n")
    assert took < 8 * SLOWER
    session = home.last_session(box)
    assert session["left"] == 1
    home.do("signal", "--all", box, session["id"])


def test_a_late_reader_sees_the_same_output_and_end_however_often_it_asks(home: Home, box: str) -> None:
    assert script(home, box, "echo out; echo err >&2; exit 9")[:3] == (9, b"out\n", b"err\n")
    key = home.last_session(box)["id"]
    for _ in range(2):
        done = home.run("logs", box, key)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"out\n", b"err\n")
        session = home.session(box, key)
        assert (session["state"], session["exit_code"], session["record"]["code"]) == ("exited", 9, 9)


def test_a_stalled_reader_of_stdout_stalls_nothing_else(home: Home, box: str) -> None:
    """Stdout is full and unread; stderr, stdin and another session go on."""
    with home.popen(
        "exec", "-i", box, "--", "sh", "-c", "yes | head -c 20000000 & read line; echo got $line >&2; wait",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as client:  # fmt: skip
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stderr is not None
        client.stdin.write(b"hello\n")
        client.stdin.close()
        assert client.stderr.read(10) == b"got hello\n"  # while nobody reads stdout
        assert home.do("exec", box, "--", "echo", "other") == b"other\n"
        assert len(client.stdout.read()) == 20_000_000
        assert client.wait(60 * SLOWER) == 0


def test_stdout_first_and_stderr_later_does_not_deadlock(home: Home, box: str) -> None:
    status, out, err, _ = script(home, box, "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero")
    assert (status, len(out), len(err)) == (0, 300_000, 300_000)


@pytest.mark.parametrize("tty", [False, True])
def test_bytes_are_exact_in_any_chunks(home: Home, box: str, tty: bool) -> None:
    """Invalid UTF-8, NUL, UTF-8 split in the middle, single bytes with a flush between."""
    data = bytes(range(256)) + "héé…🎉".encode() + b"\xff\xfe\xc3"
    data = data.replace(b"\n", b"") if tty else data
    program = f"import os\nfor b in {data!r}: os.write(1, bytes([b]))"
    done = home.run("exec", *(["-t"] if tty else []), box, "--", "python3", "-c", program)
    assert done.returncode == 0
    key = home.last_session(box)["id"]
    assert home.session(box, key)["stdout_bytes"] == len(data)
    assert home.do("logs", box, key) == data
    assert done.stdout == data


def test_stdin_beyond_64_kib_arrives_whole(home: Home, box: str) -> None:
    data = bytes(range(256)) * 4096
    assert home.do("exec", "-i", box, "--", "cat", stdin=data) == data


def test_a_child_that_never_reads_stdin_stalls_nobody(home: Home, box: str) -> None:
    with home.popen(
        "exec", "-i", box, "--", "sleep", "1236", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as client:
        assert client.stdin is not None
        client.stdin.write(bytes(60_000))
        client.stdin.flush()
        # its client has its handlers of signals before it asks for the session
        eventually(lambda: any(one["argv"][-1] == "1236" for one in home.sessions(box)))
        assert home.do("exec", "-i", box, "--", "cat", stdin=b"fine") == b"fine"
        client.terminate()
        assert client.wait(60 * SLOWER) == 143
        client.stdin.close()


def test_the_end_of_stdin_before_and_without_data(home: Home, box: str) -> None:
    assert home.do("exec", "-i", box, "--", "wc", "-c") == b"0\n"
    assert home.do("exec", box, "--", "wc", "-c", stdin=b"not passed without -i") == b"0\n"


def test_running_out_of_memory_is_called_that(home: Home, box: str) -> None:
    # piece by piece, so that it is the kernel that has none left and not malloc that refuses
    status, *_ = script(home, box, "python3 -c 'x = []\nwhile 1: x.append(b\"x\" * (1 << 23))'")
    record = home.last_session(box)["record"]
    assert (status, record["reason"], record["signal"]) == (137, "oom", 9)
    assert home.do("exec", box, "--", "echo", "alive") == b"alive\n"


def test_a_killed_program_has_the_status_of_its_signal(home: Home, box: str) -> None:
    assert script(home, box, "kill -9 $$")[0] == 137
    assert script(home, box, "kill -TERM $$")[0] == 143


def test_logs_in_order_by_stream_tail_and_time(home: Home, box: str) -> None:
    begun = time.time()
    script(home, box, "for i in 1 2 3; do echo out $i; sleep 0.1; echo err $i >&2; sleep 0.1; done")
    key = home.last_session(box)["id"]
    assert in_order(box, key) == b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"
    assert home.do("logs", box, key, "--stdout") == b"out 1\nout 2\nout 3\n"
    assert home.run("logs", box, key, "--stderr").stderr == b"err 1\nerr 2\nerr 3\n"
    assert home.do("logs", box, key, "--stdout", "--tail", "2") == b"out 2\nout 3\n"
    tail = home.run("logs", box, key, "--tail", "3")
    assert (tail.stdout, tail.stderr) == (b"out 3\n", b"err 2\nerr 3\n")
    assert home.do("logs", box, key, "--since", "1h") == b"out 1\nout 2\nout 3\n"
    assert time.time() - begun < 3000
    assert home.run("logs", box, key, "--since", "2100-01-01T00:00:00").stdout == b""


def in_order(box: str, key: str) -> bytes:
    """Both streams of a session's log as the core sends them."""
    data = bytearray()

    class Keeping(Conversation):
        def take(self, frame: Frame) -> None:
            assert isinstance(frame, Data)
            data.extend(frame.data)

    Keeping(Operation(SessionLogs(sandbox=box, session=key))).run()
    return bytes(data)


def test_following_a_log_ends_with_its_session(home: Home, box: str) -> None:
    key = home.do("exec", "-d", box, "--", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.2; done")
    assert home.do("logs", "-f", box, key.split()[-1].decode()) == b"1\n2\n3\n4\n5\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["exec", "nosuch", "--", "true"], 125, "nosuch"),
        (["exec", "BOX", "--", "nosuch"], 127, "nosuch"),
        (["exec", "BOX", "--", "/etc/passwd"], 126, "/etc/passwd"),
        (["exec", "--cwd", "/not/there", "BOX", "--", "true"], 125, "/not/there"),
        (["exec", "--user", "ghost", "BOX", "--", "true"], 125, "ghost"),
        (["exec", "--rlimit", "bogus=1", "BOX", "--", "true"], 125, "bogus"),
        (["exec", "--rlimit", "nofile=9:5", "BOX", "--", "true"], 125, "nofile"),
        (["exec", "--timeout", "0", "BOX", "--", "true"], 125, ""),
        (["signal", "BOX", "0123456789abcdef"], 125, "0123456789abcdef"),
        (["logs", "BOX", "0123456789abcdef"], 125, "0123456789abcdef"),
        (["logs", "nosuch"], 125, "nosuch"),
    ],
)
def test_bad_input_is_its_own_error(
    home: Home, box: str, arguments: list[str], status: int, said: str
) -> None:
    done = home.run(*[box if word == "BOX" else word for word in arguments])
    assert (done.returncode, done.stdout) == (status, b""), done.stderr.decode()
    message = done.stderr.decode()
    assert said in message
    assert "Traceback" not in message
    assert message.count("\n") == 1 or "Usage" in message or "usage" in message


def test_a_signal_that_is_none_and_one_to_an_ended_session(home: Home, box: str) -> None:
    key = home.do("exec", "-d", box, "--", "true").split()[-1].decode()
    eventually(lambda: home.session(box, key)["state"] == "exited")
    for word, said in (("NOPE", "NOPE"), ("TERM", "ended")):
        done = home.run("signal", box, key, word)
        assert done.returncode == 125
        assert said in done.stderr.decode()


def test_a_session_of_another_sandbox(home: Home, box: str, other: str) -> None:
    key = home.do("exec", "-d", other, "--", "true").split()[-1].decode()
    done = home.run("logs", box, key)
    assert (done.returncode, done.stdout) == (125, b"")
    assert f"not of {box} but of {other}" in done.stderr.decode()


def test_a_paused_sandbox_refuses_at_once_and_stops_its_timeouts(home: Home, other: str) -> None:
    key = home.do("exec", "-d", "--timeout", "4", other, "--", "sleep", "1237").split()[-1].decode()
    home.do("pause", other)
    before = len(home.sessions(other))
    begun = time.monotonic()
    done = home.run("exec", other, "--", "true")
    assert done.returncode == 125
    assert "paused" in done.stderr.decode()
    assert time.monotonic() - begun < 5 * SLOWER
    assert len(home.sessions(other)) == before
    time.sleep(max(0.0, 5 - (time.monotonic() - begun)))  # longer than the timeout: it must not fire
    assert home.session(other, key)["state"] == "running"
    home.do("resume", other)
    eventually(lambda: home.session(other, key)["state"] == "exited")
    assert home.session(other, key)["exit_code"] == 124


def test_who_waits_for_a_hung_machine_can_leave(home: Home, other: str) -> None:
    hung = home.box(other)["pid"]
    os.kill(hung, signal.SIGSTOP)
    try:
        with home.popen("exec", other, "--", "true", stderr=subprocess.PIPE) as client:
            eventually(lambda: home.last_session(other)["state"] == "starting")
            client.send_signal(signal.SIGTERM)
            assert client.stderr is not None
            said = client.stderr.read().decode()
            assert client.wait(PATIENCE) == 128 + signal.SIGTERM
        key = home.last_session(other)["id"]
        assert f"{other} had not started it yet" in said
        assert f"sandtop signal {other} {key} KILL" in said
        eventually(lambda: home.box(other)["attention"] == "its agent does not answer")
    finally:
        os.kill(hung, signal.SIGCONT)
    eventually(lambda: home.session(other, key)["state"] == "exited")


def test_what_ran_is_told_after_the_sandbox_is_gone(home: Home) -> None:
    home.do("create", "brief")
    home.do("exec", "brief", "--", "echo", "kept")
    key = home.last_session("brief")["id"]
    home.do("stop", "brief")
    done = home.run("exec", "brief", "--", "true")
    assert done.returncode == 125
    assert "sandtop start brief" in done.stderr.decode()
    assert home.do("logs", "brief", key) == b"kept\n"
    home.do("rm", "--keep-history", "brief")
    assert home.do("logs", "brief", key) == b"kept\n"
    assert home.session("brief", key)["record"]["code"] == 0
    done = home.run("exec", "brief", "--", "true")
    assert done.returncode == 125
    assert "no sandbox named brief" in done.stderr.decode()
