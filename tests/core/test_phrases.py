"""Words that core, client and console share."""

from __future__ import annotations

import pytest

from sandtop.core.phrases import age, command_line, ending, endpoint, is_bare_shell


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        ([], "(files copied)"),
        (["make", "test"], "make test"),
        (["sh", "-c", "make test && echo ok"], "make test && echo ok"),
        (["/bin/bash", "-lc", "ls | wc"], "ls | wc"),
        (["sh", "-c", " "], "sh -c ' '"),
        (["python3", "-c", "print(1)"], "python3 -c 'print(1)'"),
    ],
)
def test_a_command(argv: list[str], shown: str) -> None:
    assert command_line(argv) == shown


def test_a_command_is_bounded() -> None:
    assert len(command_line(["x" * 10_000])) == 800
    assert len(command_line(["sh", "-c", "y" * 10_000])) == 800


@pytest.mark.parametrize(
    "argv", [["/bin/sh"], ["bash", "-l"], ["zsh", "-i"], ["bash", "-i", "-l"], ["-bash"]]
)
def test_a_shell_to_type_into(argv: list[str]) -> None:
    assert is_bare_shell(argv)


@pytest.mark.parametrize("argv", [[], ["sh", "-c", "read x"], ["sh", "deploy.sh"], ["python3"], ["claude"]])
def test_another_program(argv: list[str]) -> None:
    assert not is_bare_shell(argv)


@pytest.mark.parametrize(
    ("reason", "code", "signal", "shown"),
    [
        ("exited", 3, None, "exit 3"),
        ("signaled", 137, 9, "signal 9"),
        ("timeout", 124, 9, "timeout"),
        ("oom", 137, 9, "oom"),
        ("spawn", 127, None, "not started 127"),
        ("vm-died", 125, None, "vm died"),
    ],
)
def test_how_it_ended(reason: str, code: int, signal: int | None, shown: str) -> None:
    assert ending(reason, code, signal) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0s"), (59, "59s"), (60, "1m"), (3660, "1h01"), (36000, "10h"), (86400, "1d")]
)
def test_a_span_of_time(seconds: float, shown: str) -> None:
    assert age(seconds) == shown


@pytest.mark.parametrize(
    ("host", "port", "shown"),
    [("a.test", 443, "a.test:443"), ("::1", 8080, "[::1]:8080"), ("a.test", None, "a.test")],
)
def test_a_host_with_a_port(host: str, port: int | None, shown: str) -> None:
    assert endpoint(host, port) == shown
