"""Allow-lists, as clients have them: made with a sandbox, changed while it runs or not, kept by the next core."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from sandtop.core.client.sdk import Sandbox as Client
from sandtop.core.errors import InvalidRequest, NotFound, WrongState

from .served import in_real_time, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from .lab import Lab

    Case = Callable[[Lab], Awaitable[None]]
    RunCase = Callable[[Case], None]


@pytest.fixture
def run(home: Path, shared_cache: Path) -> RunCase:
    """Runs a case in real time."""
    return partial(in_real_time, home, shared_cache)


async def made(*, name: str = "box", **fields: object) -> Client:
    return await Client.create(name, memory=128, disk=32, cold=True, keep=True, **fields)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_list_is_made_changed_and_kept(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch) as core:
            box = await made(allow=["Git.example.org", "git.example.org", "192.0.2.0/24:22"])
            assert (box.info.network, box.info.allow) == ("filtered", ["git.example.org", "192.0.2.0/24:22"])
            await box.allow("*.example.com:443")
            await box.deny("git.example.org.")
            assert box.info.allow == ["192.0.2.0/24:22", "*.example.com:443"]
            told = [event["message"] for event in core.fleet.events.stored() if event["kind"] == "allow-list"]
            assert told == [
                "git.example.org, 192.0.2.0/24:22, *.example.com:443",
                "192.0.2.0/24:22, *.example.com:443",
            ]
            assert list(await box.egress()) == []
        async with serving(lab, monkeypatch):
            box = await Client.get("box")
            assert box.info.allow == ["192.0.2.0/24:22", "*.example.com:443"]
            await box.stop()
            await box.deny(*box.info.allow)
            assert (box.info.network, box.info.allow) == ("filtered", [])
            assert (await box.refresh()).allow == []

    run(case)


def test_what_a_machine_is_told(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch) as core:
            for network, words in (
                ("none", set[str]()),
                (
                    "user",
                    {
                        "sandtop.network=192.0.2.2,255.255.255.0,192.0.2.1,192.0.2.3",
                        "sandtop.reject=192.0.2.1",
                    },
                ),
                ("user:host-loopback", {"sandtop.network=192.0.2.2,255.255.255.0,192.0.2.1,192.0.2.3"}),
                ("filtered", {"sandtop.egress=10.0.2.15,10.0.2.3"}),
            ):
                name = network.replace(":", "-")
                await made(name=name, network=network)
                machine = core.fleet.get(name).machine
                assert machine is not None
                about = ("sandtop.network=", "sandtop.reject=", "sandtop.egress=")
                assert {word for word in machine.spec.arguments.split() if word.startswith(about)} == words
                assert (machine.link.outward is not None) is (network == "filtered")

    run(case)


def test_a_list_goes_with_the_network_user_too_and_not_with_none(
    run: RunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch):
            box = await made(network="user", allow=[])
            assert (box.info.network, box.info.allow) == ("filtered", [])
            with pytest.raises(
                InvalidRequest, match="cannot have the network none and an allow-list"
            ) as caught:
                await made(name="other", network="none", allow=["git.example.org"])
            assert caught.value.hint == "the list makes it filtered: leave the network out"
            with pytest.raises(
                InvalidRequest, match="cannot have the network user:host-loopback and"
            ) as caught:
                await made(name="other", network="user:host-loopback", allow=["git.example.org"])
            assert str(caught.value.hint).endswith(
                "; a rule such as 10.0.2.2:8080 allows a port of the loopback"
            )

    run(case)


def test_mistakes(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch):
            with pytest.raises(InvalidRequest, match=r"'https://a\.test' cannot be allowed"):
                await made(name="other", allow=["https://a.test"])
            box, plain = await made(allow=["git.example.org"]), await made(name="plain")
            for change in (plain.allow("a.test"), plain.deny("a.test"), plain.egress()):
                with pytest.raises(WrongState, match="plain has no allow-list: its network is none"):
                    await change
            with pytest.raises(NotFound, match=r"a\.test is not on the allow-list of box") as caught:
                await box.deny("a.test")
            assert caught.value.hint == "which has git.example.org"
            with pytest.raises(InvalidRequest, match="None is named"):
                await box.allow()
            with pytest.raises(InvalidRequest, match="would have 1,002 lines: at most 1,000"):
                await box.allow(*(f"n{number}.test" for number in range(1001)))
            assert (await box.refresh()).allow == ["git.example.org"]

    run(case)
