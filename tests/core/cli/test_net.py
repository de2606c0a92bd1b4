"""``sandtop net``: what it takes, and how it shows what became of a connection."""

from __future__ import annotations

import pytest

from sandtop.core.cli import net
from sandtop.core.contract.net import Egress, EgressPage, NetLog
from sandtop.core.errors import InvalidRequest


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["box", "ls", "a.test"], "ls takes no RULE"),
        (["box", "log", "a.test"], "log takes no RULE"),
        (["box", "allow", "--end", "a.test"], "--end goes with deny"),
        (["box", "forbid", "a.test"], "invalid choice: 'forbid'"),
        (["box"], "arguments are required"),
    ],
)
def test_what_makes_no_sense_is_said_before_the_core_is_asked(words: list[str], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as caught:
        net.net_main(words)
    assert caught.value.hint == "see 'sandtop net --help'"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"address": "203.0.113.7"}, "connected"),
        ({"address": "203.0.113.7", "ended_at": 2.0}, "ended"),
        ({"address": "203.0.113.7", "ended_at": 2.0, "reason": "it was reset"}, "ended: it was reset"),
        ({"allowed": False, "ended_at": 2.0, "reason": "not on the list"}, "refused: not on the list"),
        ({"ended_at": 2.0, "reason": "Connection refused"}, "failed: Connection refused"),
    ],
)
def test_what_became_of_a_connection(
    fields: dict[str, object], shown: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    each = Egress(id=1, at=1.0, host="a.test", port=443, sent=2048, received=0, secrets=[], **fields)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def answer(_request: NetLog) -> EgressPage:
        return EgressPage(connections=[each])

    monkeypatch.setattr(net, "call", answer)
    assert net.net_main(["box", "log"]) == 0
    heading, row, *_ = capfd.readouterr().out.splitlines()
    assert heading.split()[:4] == ["AT", "HOST", "PORT", "ADDRESS"]
    assert row.split()[:3] == ["1970-01-01T00:00:01.000Z", "a.test", "443"]
    assert row.endswith(f"  {shown}")
