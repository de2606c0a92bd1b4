"""exec, shell, run, logs and sessions: data on stdout, one line for an error, exit statuses as promised."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from .process import command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakecore import FakeCore

    from ..conftest import Core
    from .process import Run


@pytest.mark.parametrize(
    ("program", "status", "out"),
    [
        (("echo", "hello"), 0, b"hello\n"),
        (("sh", "-c", "exit 7"), 7, b""),
        (("sh", "-c", "kill -9 $$"), 137, b""),
        (("sh", "-c", "kill -TERM $$"), 143, b""),
        (("printf", "--", "--help"), 0, b"--help"),
        (("printf", r"\377\000\001"), 0, b"\xff\x00\x01"),
    ],
)
def test_status_and_output_are_the_commands(
    core: Core, run: Run, program: tuple[str, ...], status: int, out: bytes
) -> None:
    done = run("exec", "demo", "--", *program)
    assert (done.status, done.out, done.err) == (status, out, b"")


def test_stderr_stays_stderr(core: Core, run: Run) -> None:
    done = run("exec", "demo", "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.out, done.err) == (b"out\n", b"err\n")


def test_stderr_goes_to_stdout_when_asked(core: Core, run: Run) -> None:
    script = "echo a; echo b >&2; echo c"
    done = run("exec", "--stderr-to-stdout", "demo", "--", "sh", "-c", script)
    assert (done.status, done.out, done.err) == (0, b"a\nb\nc\n", b"")


def test_what_cannot_run(core: Core, run: Run) -> None:
    missing = run("exec", "demo", "--", "nosuch")
    assert missing.status == 127
    assert "nosuch" in missing.complaint
    assert run("exec", "demo", "--", "/etc/passwd").status == 126
    nowhere = run("exec", "-w", "/nowhere", "demo", "--", "true")
    assert nowhere.status == 125
    assert "/nowhere" in nowhere.complaint
    unknown = run("exec", "nobody", "--", "true")
    assert unknown.status == 125
    assert "nobody" in unknown.complaint


def test_options_of_one_execution(core: Core, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "here")
    script = "echo $A $FROM_HERE $PWD"
    done = run("exec", "-e", "A=1 2", "--env", "FROM_HERE", "--cwd", "/tmp", "demo", "--", "sh", "-c", script)
    assert done.out == b"1 2 here /tmp\n"


def test_a_timeout_is_124(core: Core, run: Run) -> None:
    begun = time.monotonic()
    done = run("exec", "--timeout", "0.5", "demo", "--", "sleep", "60")
    assert done.status == 124
    assert "killed" in done.complaint
    assert time.monotonic() - begun < 30


def test_input_of_any_size_and_bytes(core: Core, run: Run) -> None:
    data = random.Random(3).randbytes(1 << 20)
    done = run("exec", "-i", "demo", "--", "cat", stdin=data)
    assert (done.status, done.err) == (0, b"")
    assert done.out == data
    # without -i nothing of it is taken
    assert run("exec", "demo", "--", "cat", stdin=b"not for you").out == b""


def test_a_script_as_argument_and_from_stdin(core: Core, run: Run) -> None:
    assert run("shell", "demo", "echo a | tr a b && echo done").out == b"b\ndone\n"
    assert run("shell", "demo", stdin=b"echo from\necho stdin\n").out == b"from\nstdin\n"


def test_detached_prints_the_id_and_logs_have_the_rest(core: Core, run: Run) -> None:
    started = run(
        "exec",
        "-d",
        "--label",
        "a=b",
        "demo",
        "--",
        "sh",
        "-c",
        "echo one; echo two >&2; sleep 0.5; echo end",
    )
    session = started.out.decode().splitlines()[-1]
    followed = run("logs", "-f", "demo", session)
    assert (followed.out, followed.err) == (b"one\nend\n", b"two\n")
    assert run("logs", "--stderr", "demo", session).out == b""
    assert run("logs", "--tail", "1", "--stdout", "demo", session[:12]).out == b"end\n"
    stamped = run("logs", "--timestamps", "--stdout", "demo", session).out.decode().splitlines()
    assert [line.split("Z ")[1] for line in stamped] == ["one", "end"]
    (listed,) = [s for s in json.loads(run("sessions", "--json", "demo").out) if s["id"] == session]
    assert (listed["state"], listed["exit_code"], listed["labels"]) == ("exited", 0, {"a": "b"})
    assert {"sandbox", "argv", "tty", "signal", "reason", "started_at", "ended_at"} <= listed.keys()
    assert session in run("sessions").out.decode()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_are_passed_on(core: Core, number: signal.Signals, status: int) -> None:
    with _started("exec", "demo", "--", "sh", "-c", "echo up; exec sleep 60") as process:
        _read_until(process, b"up\n")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (status, b"", b"")


def test_a_program_that_minds_the_signal_has_the_last_word(core: Core) -> None:
    script = "trap 'echo minded; exit 5' INT; echo up; sleep 60 & wait"
    with _started("exec", "demo", "--", "sh", "-c", script) as process:
        _read_until(process, b"up\n")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (5, b"minded\n")


def test_the_end_of_our_reader_is_sigpipe_to_the_program(core: Core) -> None:
    with _started("exec", "demo", "--", "yes") as process:
        _read_until(process, b"y\n")
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_closed_stdout_is_no_accident(core: Core, run: Run) -> None:
    """The core's socket must not become descriptor 1."""
    line = " ".join(["exec", *map(_quoted, command("exec", "demo", "--", "echo", "hello")), ">&-"])
    done = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 125
    assert done.stderr.decode().startswith("sandtop: cannot write the output")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_the_core_dies_while_a_command_runs(core: Core) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.2; done"
    with _started("exec", "demo", "--", "sh", "-c", script) as process:
        for _ in range(2):
            core.kill()
        out, err = process.communicate(timeout=100)
        assert (process.returncode, err) == (0, b"")
        assert out.split() == [b"%d" % n for n in range(1, 11)]


@pytest.mark.parametrize("tty", [False, True])
def test_a_terminal_is_shown_no_control_sequences(fake: FakeCore, tty: bool) -> None:
    """But for a session with a terminal of its own, whose sequences were asked for."""
    script = r"printf 'a\tb \033[31mred\033[0m \303\251 \302\233x \377\n'"
    arguments = ("exec", *(("-t",) if tty else ()), "demo", "--", "sh", "-c", script)
    out = _on_a_terminal(*arguments)
    if tty:
        assert b"\033[31mred" in out
    else:
        assert out == "a\tb ^[[31mred^[[0m é \\x9bx \\xff\r\n".encode()


def test_run_leaves_nothing(fake: FakeCore, run: Run) -> None:
    done = run("run", "--", "sh", "-c", "echo hello; exit 3")
    assert (done.status, done.out, done.err) == (3, b"hello\n", b"")
    assert run("run", "--", "nosuch").status == 127
    assert list(fake.sandboxes) == ["demo"]
    assert [request["ephemeral"] for request in fake.requests if request["op"] == "sandbox.create"] == [
        True,
        True,
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(fake: FakeCore, number: signal.Signals) -> None:
    with _started("run", "--", "sh", "-c", "echo up; exec sleep 60") as process:
        _read_until(process, b"up\n")
        assert len(fake.sandboxes) == 2
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    assert list(fake.sandboxes) == ["demo"]


def test_a_run_that_minds_no_signal_ends_all_the_same(fake: FakeCore) -> None:
    with _started("run", "--", "sh", "-c", "trap '' INT; echo up; while :; do sleep 1; done") as process:
        _read_until(process, b"up\n")
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)  # signals of one number that wait together are one
        assert process.wait(30) == 130
    assert list(fake.sandboxes) == ["demo"]


def _started(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )


def _read_until(process: subprocess.Popen[bytes], text: bytes) -> None:
    assert process.stdout is not None
    seen = b""
    while text not in seen:
        data = process.stdout.read(1)
        assert data, process.stderr and process.stderr.read()
        seen += data


def _quoted(word: str) -> str:
    return f"'{word}'"


def _on_a_terminal(*arguments: str, status: int = 0) -> bytes:
    """What the command writes when its output is a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen(command(*arguments), stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        out = b""
        try:
            while data := os.read(master, 65536):
                out += data
        except OSError:  # EIO: the last who had it open is gone
            pass
        assert process.wait(30) == status, out
    os.close(master)
    return out


def test_logs_show_what_would_cover_or_turn_round_what_is_there(fake: FakeCore, run: Run) -> None:
    script = r"printf 'safe\rfake a\342\200\256b\r\nend\r'"
    session = run("exec", "-d", "demo", "--", "sh", "-c", script).out.decode().split()[-1]
    run("logs", "-f", "demo", session)
    assert _on_a_terminal("logs", "demo", session) == b"safe^Mfake a\\u202eb\r\r\nend^M"
    assert _on_a_terminal("logs", "--keep-cr", "demo", session) == b"safe\rfake a\\u202eb\r\r\nend\r"
    assert run("logs", "demo", session).out == "safe\rfake a\u202eb\r\nend\r".encode()


@pytest.mark.parametrize("arguments", [("exec", "-t", "demo"), ("exec", "-t", "-i", "demo"), ("run", "-t")])
def test_a_terminal_of_its_own_is_kept_to_the_screen(fake: FakeCore, arguments: tuple[str, ...]) -> None:
    """And is left as usual, whatever was switched on."""
    script = r"printf '\033[?25l\033[31mred\033]52;c;aGVsbG8=\007\033[5i\033[8;1;1t\033P'"
    out = _on_a_terminal(*arguments, "--", "sh", "-c", script)
    assert b"\033[31mred" in out
    assert b"]52" not in out
    assert b"[5i" not in out
    assert b"[8;1;1t" not in out
    assert out.rindex(b"\033[?25h") > out.index(b"\033[?25l")


def test_kinds_that_the_settings_allow(fake: FakeCore, home: Path) -> None:
    (home / "config").mkdir(parents=True)
    script = r"printf '\033]52;c;aGVsbG8=\007\033]9;hello\007'"
    for text, passes in (("", False), ('attach_allow = ["clipboard"]', True)):
        (home / "config" / "config.toml").write_text(text, encoding="utf-8")
        out = _on_a_terminal("exec", "-t", "-i", "demo", "--", "sh", "-c", script)
        assert (b"]52;c;aGVsbG8=" in out) is passes
        assert b"]9;hello" not in out
    for text, complaint in (
        ('attach_allow = ["clipbord"]', b"nothing called 'clipbord' to allow (known: clipboard, "),
        ("attach_allow = 1", b"attach_allow must be a list of names"),
    ):
        (home / "config" / "config.toml").write_text(text, encoding="utf-8")
        assert complaint in _on_a_terminal("exec", "-t", "-i", "demo", "--", "true", status=125)


def test_attach_allows_by_name(fake: FakeCore) -> None:
    script = r"printf '\033]52;c;aGVsbG8=\007\033[5i\033]9;hello\007'"
    out = _on_a_terminal("attach", "--allow", "clipboard,print", "demo", "--", "sh", "-c", script)
    assert b"]52;c;aGVsbG8=" in out
    assert b"\033[5i" in out
    assert b"]9;hello" not in out
    assert b"known: clipboard" in _on_a_terminal("attach", "--allow", "all", "demo", status=125)
