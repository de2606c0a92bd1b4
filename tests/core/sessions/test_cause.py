"""What explains a session's end: the last line that says something, of what programs write and what is hostile."""

from __future__ import annotations

import time

import pytest

from sandtop.core.sessions import SessionExit
from sandtop.core.sessions.cause import TAIL_BYTES, cause_of, last_words

PYTHON = """\
Traceback (most recent call last):
  File "/srv/work.py", line 3, in <module>
    main()
    ^^^^^^
  File "/srv/work.py", line 2, in main
    raise ValueError("boom")
ValueError: boom
"""
NODE = """\
/srv/work.js:1
throw new Error("boom")
^

Error: boom
    at Object.<anonymous> (/srv/work.js:1:7)
    at Module._compile (node:internal/modules/cjs/loader:1105:14)

Node.js v18.19.0
"""
JAVA = """\
Exception in thread "main" java.lang.RuntimeException: work failed
\tat Main.main(Main.java:3)
Caused by: java.io.IOException: boom
\tat Main.read(Main.java:9)
\t... 1 more
"""
GO = """\
panic: boom

goroutine 1 [running]:
main.work(...)
\t/srv/main.go:8
main.main()
\t/srv/main.go:4 +0x1d
exit status 2
"""
RUST = """\
thread 'main' panicked at src/main.rs:2:5:
boom
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
CPP = "terminate called after throwing an instance of 'std::runtime_error'\n  what():  boom\nAborted (core dumped)\n"
RUBY = "work.rb:1:in `work': boom (RuntimeError)\n\tfrom work.rb:3:in `<main>'\n"
MAKE = "cc -c x.c\nx.c:1:1: error: unknown type name 'it'\nmake: *** [Makefile:2: x.o] Error 1\n"
PYTEST = "FAILED test_x.py::test_it - assert 1 == 2\n=========== 1 failed, 9 passed in 0.42s ===========\n"


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (PYTHON, "ValueError: boom"),
        (NODE, "Error: boom"),
        (JAVA, "Caused by: java.io.IOException: boom"),
        (GO, "panic: boom"),
        (RUST, "boom"),
        (CPP, "what(): boom"),
        (RUBY, "work.rb:1:in `work': boom (RuntimeError)"),
        (MAKE, "x.c:1:1: error: unknown type name 'it'"),
        (PYTEST, "1 failed, 9 passed in 0.42s"),
        ("ls: unknown option '--x'\nTry 'ls --help' for more information.\n", "ls: unknown option '--x'"),
        ("usage: x [-h]\nx: error: no argument y\n", "x: error: no argument y"),
        ("sh: 1: nothing: not found", "sh: 1: nothing: not found"),
        ("it failed:\n  no such host\n", "it failed: no such host"),
        ("exit status 2\n", "exit status 2"),
        ("   only indented\n", "only indented"),
        ("--verbose is no option\n", "--verbose is no option"),
        ("\n\n---\n...\n", ""),
        ("", ""),
        ("10 %\r50 %\r99 % connection lost\r", "99 % connection lost"),
        ("\x1b[31;1merror\x1b[0m: \x1b]0;title\x07boom\r\n", "error: boom"),
        ("boom\n\x1b[?1049h~\n~ nothing here\x1b[?1049l\n", "boom"),
        ("~ a page of vim\x1b[?1049lboom\n", "boom"),
        ("~ a page\n\x1b[?1049l", ""),
        ("fehlgeschlagen: Größe ≠ 0\n", "fehlgeschlagen: Größe ≠ 0"),
    ],
)  # fmt: skip
def test_what_a_program_said_last(output: str, said: str) -> None:
    assert last_words(output.encode()) == said


def test_the_beginning_of_a_tail_may_be_half_a_line() -> None:
    assert last_words(b"half of it\n\x1b[0m\n", begun=False) == "half of it"
    assert last_words(b"half\n    at x\n", begun=False) == "at x"
    assert last_words("€uro\nboom\n".encode()[1:], begun=False) == "boom"


HOSTILE = [
    b"\0" * TAIL_BYTES,
    bytes(range(256)) * (TAIL_BYTES // 256),
    b"\x1b[" * (TAIL_BYTES // 2),
    b"\x1b[" + b"0" * TAIL_BYTES,
    b"\x1b]" * (TAIL_BYTES // 2),
    b"\x1b[?1049h" * (TAIL_BYTES // 8),
    b"\x1b[?1049l" * (TAIL_BYTES // 8),
    b" " * TAIL_BYTES + b"x",
    b"=" * TAIL_BYTES + b" x",
    b"x" + b" " * TAIL_BYTES + b"x",
    b"= " * (TAIL_BYTES // 2) + b"x",
    b"a" * TAIL_BYTES,
    b" what(): " * (TAIL_BYTES // 9),
    (b" " + b":1" * 20 + b"\n") * 400,
    b"\r" * TAIL_BYTES,
    b"\n" * TAIL_BYTES,
    b"\xff\xfe" * (TAIL_BYTES // 2),
    "\u202eelif\u200b\u2066".encode() * 1000,
    ("e" + "\u0301" * 200).encode() * 40,
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_output_is_one_bounded_line_and_costs_little(number: int) -> None:
    begun = time.process_time()
    said = last_words(HOSTILE[number])
    assert time.process_time() - begun < 2
    assert len(said) <= 200
    assert said.isprintable()


def never() -> str:
    raise AssertionError("it need not be read")


@pytest.mark.parametrize(
    ("record", "options", "cause"),
    [
        (SessionExit("exited", code=3), {}, "boom"),
        (SessionExit("exited", code=0), {}, None),
        (SessionExit("oom", signal=9, memory_peak=118 << 20), {}, "118 MiB at its peak"),
        (SessionExit("oom", signal=9), {}, None),
        (SessionExit("timeout", signal=9), {"timeout_ms": 1500}, "after its limit of 1.5 s"),
        (SessionExit("timeout", signal=9), {"timeout_ms": 300_000}, "after its limit of 5 min"),
        (SessionExit("signaled", signal=15), {"by": "sandtop signal (pid 7)"}, "sent by sandtop signal (pid 7)"),
        (SessionExit("signaled", signal=11), {"by": ""}, "boom"),
        (SessionExit("spawn", stage="exec", errno=2, message="x: not found"), {}, "x: not found"),
        (SessionExit("vm-died", message="QEMU was killed"), {}, "QEMU was killed"),
    ],
)  # fmt: skip
def test_what_explains_an_end(record: SessionExit, options: dict[str, object], cause: str | None) -> None:
    assert cause_of(record, lambda: "boom", **options) == cause  # type: ignore[arg-type]  # pyright: ignore


@pytest.mark.parametrize(
    ("number", "by", "cause"),
    [
        (9, "", "killed, sent in the sandbox"),
        (9, None, "killed"),
        (11, "", "segmentation fault"),
        (11, None, "segmentation fault"),
    ],
)
def test_a_signal_of_which_nothing_is_said(number: int, by: str | None, cause: str) -> None:
    assert cause_of(SessionExit("signaled", signal=number), str, by=by) == cause


def test_output_is_read_only_where_it_explains_something() -> None:
    assert cause_of(SessionExit("exited", code=0), never) is None
    assert cause_of(SessionExit("oom", memory_peak=1 << 30), never) == "1.0 GiB at its peak"
    assert cause_of(SessionExit("signaled", signal=9), never, by="me") == "sent by me"
