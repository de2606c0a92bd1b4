"""``stats``, ``events``, ``top``, ``console`` and the logs of several sandboxes, as they are printed."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from sandtop.core.cli._merged import Lines
from sandtop.core.cli.main import main
from sandtop.core.client.link import LogPiece
from sandtop.core.contract.core_events import ExitRecord, Happening, Source
from sandtop.core.contract.sandbox import ProcessInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakecore import FakeCore

    Said = Callable[..., str]

AT = 1_700_000_000.0


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Said:
    """Runs a command that succeeds; what it prints."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 0
        return capfd.readouterr().out

    return run


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Said:
    """Runs a command that fails; its one line."""

    def run(*arguments: str) -> str:
        assert main(arguments) != 0
        (line,) = capfd.readouterr().err.splitlines()
        return line

    return run


def test_stats(fake: FakeCore, said: Said) -> None:
    text = said("stats")
    assert text.startswith("host: cpu ")
    assert "\nNAME " in text
    (row,) = [line for line in text.splitlines() if line.startswith("demo ")]
    assert "512 MiB" in row
    sample = json.loads(said("stats", "--json"))
    assert sample["sandboxes"][0]["sandbox"] == "demo"
    past = json.loads(said("stats", "--history", "1h", "--json"))
    assert [sorted(item)[0] for item in past] == ["at"] * 3
    assert "sandboxes" in past[-1]


def test_events(fake: FakeCore, said: Said) -> None:
    raw = fake.of("demo")
    record = ExitRecord(reason="exited", code=3)
    for number, (kind, message) in enumerate([("started", ""), ("session-exited", "exit 3: a\x1b[31mb")], 1):
        fake.happenings.append(
            Happening(
                id=number, at=AT + number, kind=kind, sandbox="demo", uuid=str(raw["uuid"]), message=message,
                session="a" * 16 if number == 2 else None, record=record if number == 2 else None,
            )
        )  # fmt: skip
    assert said("events").splitlines() == [
        "2023-11-14T22:13:21.000Z  started           demo",
        "2023-11-14T22:13:22.000Z  session-exited    demo  aaaaaaaaaaaaaaaa  exit 3: a\\x1b[31mb",
    ]
    events = json.loads(said("events", "demo", "--limit", "1", "--json"))
    assert [(event["id"], event["record"]["code"]) for event in events] == [(2, 3)]


def test_top_and_console(fake: FakeCore, said: Said) -> None:
    fake.processes["demo"] = [
        ProcessInfo(
            pid=7, parent=1, user="root", session="a" * 16, state="R", cpu=99.5, cpu_seconds=65.0, memory=1 << 20,
            threads=2, command="sh -c x",
        )
    ]  # fmt: skip
    fake.consoles["demo"] = b"one\r\ntwo\r\nthree"
    heading, row = said("top", "demo").splitlines()
    assert heading.split() == [
        "PID",
        "USER",
        "SESSION",
        "STATE",
        "CPU",
        "TIME",
        "MEMORY",
        "THREADS",
        "COMMAND",
    ]
    assert row.split() == ["7", "root", "a" * 16, "R", "99.5%", "65s", "1.0", "MiB", "2", "sh", "-c", "x"]
    assert json.loads(said("top", "demo", "--json"))["total"] == 1
    assert said("console", "demo") == "one\r\ntwo\r\nthree"
    assert said("console", "demo", "--tail", "1") == "three"
    assert json.loads(said("console", "demo", "--json")) == {"lines": ["one", "two", "three"]}


def test_merged_logs(fake: FakeCore, said: Said) -> None:
    assert (
        main(["exec", "demo", "--", "sh", "-c", "echo out; sleep 0.2; echo err >&2; sleep 0.2; printf end"])
        == 0
    )
    key = next(iter(fake.sessions))[:4]
    said("ls")  # and drop what exec printed
    assert said("logs", "--all") == f"demo {key}: out\ndemo {key} err: err\ndemo {key}: end\n"
    lines = [json.loads(line) for line in said("logs", "--sandbox", "demo", "--json").splitlines()]
    assert [(line["stream"], line["line"]) for line in lines] == [
        ("stdout", "out"),
        ("stderr", "err"),
        ("stdout", "end"),
    ]
    assert abs(lines[0]["at"] - time.time()) < 60
    assert said("logs", "--all", "--timestamps").startswith("20")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["logs"], "which sandbox?"),
        (["logs", "demo", "--all"], "without a NAME"),
        (["logs", "--all", "--keep-cr"], "without --keep-cr"),
        (["logs", "demo", "--json"], "--json goes with --all"),
        (["stats", "--history", "1h"], "--history goes with --json"),
        (["events", "--kind", "nosuch"], "invalid choice: 'nosuch'"),
        (["events", "--since", "yesterday"], "is not a time"),
        (["core", "status", "--metrics", "off"], "--metrics goes with start"),
        (["top", "nosuch"], "nosuch"),
        (["console", "nosuch"], "nosuch"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(
    fake: FakeCore, refused: Said, arguments: list[str], words: str
) -> None:
    assert words in refused(*arguments)


def piece(data: bytes, *, session: str = "a" * 16, missing: int = 0, at: float = AT) -> LogPiece:
    source = Source(number=1, sandbox="box", uuid="u", session=session, argv=["x"], tty=False)
    return LogPiece(at, source, "stdout", data, missing)


def test_lines_are_whole_and_have_the_time_of_their_beginning(capfd: pytest.CaptureFixture[str]) -> None:
    lines = Lines(stamped=True, as_json=False)
    for each in (
        piece(b"be"), piece(b"other\n", session="b" * 16, at=AT + 1), piece(b"gun\r\nsecond\nth", at=AT + 2),
        piece(b"", missing=7, at=AT + 3),
    ):  # fmt: skip
        lines.take(each)
    lines.take(piece(b"last", at=AT + 4))
    lines.finish()
    assert [line.partition("Z ")[::2] for line in capfd.readouterr().out.splitlines()] == [
        ("2023-11-14T22:13:21.000", "box bbbb: other"),
        ("2023-11-14T22:13:20.000", "box aaaa: begun"),
        ("2023-11-14T22:13:22.000", "box aaaa: second"),
        ("2023-11-14T22:13:22.000", "box aaaa: th"),
        ("2023-11-14T22:13:23.000", "box aaaa: [7 bytes are not in the log any more]"),
        ("2023-11-14T22:13:24.000", "box aaaa: last"),
    ]


def test_a_carriage_return_begins_no_line(capfd: pytest.CaptureFixture[str]) -> None:
    """What a progress bar or a shell's prompt writes: each line has one beginning, which says whose it is."""
    lines = Lines(stamped=False, as_json=False)
    lines.take(piece(b"10%\r100%\r\n\r\n\n"))
    assert capfd.readouterr().out == "box aaaa: 10%\r100%\nbox aaaa: \nbox aaaa: \n"


def test_a_line_without_an_end_is_bounded(capfd: pytest.CaptureFixture[str]) -> None:
    lines = Lines(stamped=False, as_json=True)
    for _ in range(40):
        lines.take(piece(b"x" * 10_000))
    printed = [json.loads(line)["line"] for line in capfd.readouterr().out.splitlines()]
    assert len(printed) >= 5
    assert all(len(line) < 80_000 for line in printed)
