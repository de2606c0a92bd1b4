"""What the fake core knows: sandboxes and sessions, described as the contract has them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sandtop.core.contract.codec import decode_result
from sandtop.core.contract.record import Record
from sandtop.core.contract.sandbox import SandboxInfo
from sandtop.core.contract.session_results import SessionInfo
from sandtop.core.fleet.attention import SandboxFacts, SessionFacts, judge
from sandtop.core.phrases import ending
from sandtop.core.sessions import SessionExit
from sandtop.core.sessions.cause import TAIL_BYTES, cause_of, last_words
from sandtop.core.sessions.last_line import last_line_of
from sandtop.core.store import AlertRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .program import Program

Raw = dict[str, object]
R = TypeVar("R", bound=Record)
NOW = 1_700_000_000.0
"""The moment at which the console's clock stands in the tests (2023-11-14 22:13:20 UTC)."""


def made(kind: type[R], raw: Raw) -> R:
    """The object of ``kind`` with the fields ``raw``: the contract has them all, and of these types."""
    assert raw.keys() <= kind.fields.keys(), raw.keys() - kind.fields.keys()
    return decode_result(kind, raw)


def sandbox(name: str, state: str = "running", **fields: object) -> Raw:
    """A sandbox as the core knows one. What it says of its attention is judged by the core's own code; see `described`.

    ``trouble``: what is wrong with its machine, agent or logs.
    """
    number = zlib.crc32(name.encode())
    return {
        "name": name, "uuid": f"{number:08x}-0000-4000-8000-{number:012x}", "state": state, "image": "base",
        "cpus": 1, "memory": 512, "disk": 1024, "network": "none", "accelerator": "tcg", "pid": None, "reason": None,
        "created_at": NOW - 7200, "started_at": NOW - 3600 if state in ("running", "paused") else None,
        "labels": {}, "env": {}, "workdir": "/root", "shell": "/bin/sh", "user": "root", "sessions": 0,
        "trouble": None, "warnings": [], "acknowledged": False, "changed_at": NOW - 3600, "alerts": [],
        "ports": [], "mounts": [], "allow": [], "secrets": [], **fields,
    }  # fmt: skip


def described(raw: Raw, sessions: Iterable[FakeSession], now: float = NOW) -> Raw:
    """``raw`` as the core describes it, with why somebody should look at it."""
    return sandbox_info(raw, sessions, now).to_json()


def sandbox_info(raw: Raw, sessions: Iterable[FakeSession], now: float) -> SandboxInfo:
    its = [one for one in sessions if one.raw["sandbox"] == raw["name"]]
    heard = [float(cast("float", raw["started_at"] or 0.0)), *(one.heard_at for one in its)]
    found = judge(
        SandboxFacts(
            state=str(raw["state"]),
            reason=str(raw["reason"] or ""),
            seen=raw["acknowledged"] is True,
            trouble=cast("str | None", raw["trouble"]),
            labels=cast("dict[str, str]", raw["labels"]),
            sessions=[one.facts for one in its],
            alerts=[
                AlertRow(
                    one["name"], one["text"], one["at"], one["notify"], one["session"], one["acknowledged"]
                )
                for one in cast("list[dict[str, Any]]", raw["alerts"])
            ],
            heard_at=max(heard),
            at=cast("float | None", raw["changed_at"]),
        ),
        now,
    )
    fields = {name: value for name, value in raw.items() if name != "trouble"}
    attention: Raw = {
        "attention": found.text if found else None,
        "attention_kind": found.why.value if found else None,
        "attention_session": found.session if found else None,
        "attention_at": found.at if found else None,
    }
    return made(SandboxInfo, fields | attention)


@dataclass
class FakeSession:
    """A session: what the core knows of it, its output in order, and what was typed.

    ``raw["waits"]``: who in it waits for somebody to type, as the agent says.

    Attributes:
        pieces: when, on which stream (1, 2), and what was written.
        typed: what was taken of the input.
        input_open: more may come.
        sizes: the rows and columns that its window had.
        gaps: by stream, how many bytes before the first piece fell to the log's cap.
        echo: what is typed is written, as a terminal does.
        program: what runs, if anything does.
    """

    raw: Raw
    pieces: list[tuple[float, int, bytes]] = field(default_factory=list[tuple[float, int, bytes]])
    typed: bytearray = field(default_factory=bytearray)
    input_open: bool = True
    sizes: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    gaps: dict[int, int] = field(default_factory=dict[int, int])
    echo: bool = False
    program: Program | None = None

    def __post_init__(self) -> None:
        self._joined: tuple[list[tuple[float, int, bytes]], dict[int, bytearray], int] = ([], {}, 0)

    def output(self, stream: int) -> bytearray:
        """All that was written on ``stream``, not to be changed."""
        of, joined, count = self._joined
        if of is not self.pieces or count > len(of):
            of, joined, count = self.pieces, {1: bytearray(), 2: bytearray()}, 0
        for _, which, data in of[count:]:
            joined[which] += data
            count += 1
        self._joined = (of, joined, count)
        return joined[stream]

    @property
    def id(self) -> str:
        return str(self.raw["id"])

    @property
    def record(self) -> Raw | None:
        """How it ended."""
        return cast("Raw | None", self.raw["record"])

    @property
    def exit_code(self) -> int | None:
        return cast("int | None", self.raw["exit_code"])

    @property
    def ended(self) -> bool:
        return self.raw["state"] in ("exited", "failed", "lost")

    @property
    def taken_over(self) -> bool:
        """Whether somebody else holds its input."""
        return self.raw["input_holder"] == "other"

    @property
    def heard_at(self) -> float:
        began = cast("float | None", self.raw["started_at"]) or 0.0
        return max(began, self.pieces[-1][0] if self.pieces else 0.0)

    @property
    def facts(self) -> SessionFacts:
        """What its attention depends on, as `sandtop.core.fleet.attention.facts_of` has it of a real one."""
        raw = self.raw
        return SessionFacts(
            id=self.id,
            argv=cast("list[str]", raw["argv"]),
            ended=ending(cast("str | None", raw["reason"]), self.exit_code, cast("int | None", raw["signal"]))
            if self.ended
            else "",
            cause=cast("str | None", (self.record or {}).get("cause")),
            failed=self.ended and self.exit_code != 0,
            seen=raw["acknowledged"] is True,
            waiting="" if self.ended else str(raw["waits"]),
            held=raw["input_holder"] is not None,
            at=cast("float | None", raw["ended_at"]) or 0.0,
        )

    @property
    def info(self) -> SessionInfo:
        """As the core describes it."""
        told: Raw = {
            "argv_length": len(cast("list[str]", self.raw["argv"])),
            "waiting": self.facts.waiting != "",
            "attention": self.facts.text,
            "stdout_bytes": len(self.output(1)) + self.gaps.get(1, 0),
            "stderr_bytes": len(self.output(2)) + self.gaps.get(2, 0),
            "stdin_bytes": len(self.typed),
            "last_line": self.last_line,
            "output_at": self.pieces[-1][0] if self.pieces else None,
        }
        return made(SessionInfo, {name: value for name, value in self.raw.items() if name != "waits"} | told)

    @property
    def last_line(self) -> str | None:
        """As `sandtop.core.sessions.last_line.LastLine` has it of a real one."""
        wrote_last = self.pieces[-1][1] if self.pieces else 1
        streams = (2, 1) if wrote_last == 2 else (1, 2)
        return next(
            (text for one in streams if (text := last_line_of(bytes(self.output(one)[-1024:])))), None
        )

    def _last_words(self, stream: int) -> str:
        output = self.output(stream)
        return last_words(bytes(output[-TAIL_BYTES:]), begun=len(output) <= TAIL_BYTES)

    def listed(self) -> Raw:
        return self.info.to_json()

    def end(self, at: float, record: Raw, exit_code: int | None, state: str = "exited") -> None:
        """It ended at that time; ``record`` says how."""
        lengths: Raw = {"stdout": len(self.output(1)), "stderr": len(self.output(2)), "source": "agent"}
        ending = SessionExit.from_json(record)
        if "cause" not in record and exit_code:  # as `Session.with_cause` has it of a real one
            lengths["cause"] = cause_of(ending, lambda: self._last_words(2) or self._last_words(1))
        self.raw |= {
            "state": state,
            "exit_code": exit_code,
            "reason": record["reason"],
            "signal": record.get("signal"),
            "ended_at": at,
            "record": lengths | record,
        }


def session(key: str, of: str, *argv: str, tty: bool = False, **fields: object) -> FakeSession:
    """A running session of the sandbox named ``of``."""
    raw: Raw = {
        "id": (key * 16)[:16], "sandbox": of, "argv": list(argv), "tty": tty, "state": "running", "exit_code": None,
        "signal": None, "reason": None, "started_at": NOW - 600, "ended_at": None, "labels": {}, "pid": 42,
        "attached": 0, "input_holder": None, "record": None, "waits": "", "left": 0, "acknowledged": False,
        "foreground": None, **fields,
    }  # fmt: skip
    return FakeSession(raw)


def ended(key: str, of: str, *argv: str, code: int = 0, said: bytes = b"", **fields: object) -> FakeSession:
    """A session that exited with ``code``, and ``said`` something on stderr before."""
    one = session(key, of, *argv)
    if said:
        one.pieces = [(NOW - 60, 2, said)]
    one.end(NOW - 60, {"reason": "exited", "code": code}, code)
    one.raw |= fields
    return one
