"""Secrets, as clients have them: made with a sandbox, in no file, and not known to the next core."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sandtop.core.client.link import launch, secret
from sandtop.core.client.link.secrets import read_from
from sandtop.core.client.sdk import GivenSecret
from sandtop.core.client.sdk import Sandbox as Client
from sandtop.core.errors import CoreUnavailable, InvalidRequest, NotFound

from .served import in_real_time, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from .lab import Lab

    Case = Callable[[Lab], Awaitable[None]]
    RunCase = Callable[[Case], None]

VALUE = "ghp_a-value-to-be-searched-for"
GIVEN = "API=env:A_TOKEN@api.example.com"


@pytest.fixture
def run(home: Path, shared_cache: Path) -> RunCase:
    """Runs a case in real time."""
    return partial(in_real_time, home, shared_cache)


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", VALUE)


async def made(*, name: str = "box", **fields: object) -> Client:
    return await Client.create(name, memory=128, disk=32, cold=True, keep=True, **fields)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def having(folder: Path, value: str) -> list[Path]:
    """The files below ``folder`` that have ``value`` in them."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    return [path for path in files if value.encode() in path.read_bytes()]


def test_a_secret_is_named_and_its_value_is_nowhere(
    run: RunCase, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch) as core:
            box = await made(secrets=[GIVEN], allow=["git.example.org"], env={"A": "b"})
            assert (box.info.network, box.info.allow) == (
                "filtered", ["git.example.org", "api.example.com:443"],
            )  # fmt: skip
            (shown,) = box.info.secrets
            assert (shown.name, shown.host, shown.port, shown.file, shown.known) == (
                "API", "api.example.com", 443, None, True,
            )  # fmt: skip
            assert box.info.env["API"].startswith("sandtop-")
            assert box.info.env["A"] == "b"
            assert box.info.env["SSL_CERT_FILE"] == "/etc/ssl/certs/ca-certificates.crt"
            other = await made(name="other", secrets=[GIVEN])
            assert other.info.env["API"] != box.info.env["API"]
            told = json.dumps(core.fleet.events.stored()) + json.dumps((await box.inspect()).to_json())
            assert "API" in told
            assert VALUE not in told
            sandbox = core.fleet.get("box")
            (row,) = sandbox.egress.keys.vault.of("api.example.com", 443)
            assert sandbox.egress.keys.vault.values([row]) == {row.placeholder.encode(): VALUE.encode()}
            assert having(home, "api.example.com")  # what is stored of it is found
            assert having(home, VALUE) == []
            (authority,) = having(sandbox.folder, "PRIVATE KEY")
            assert authority.stat().st_mode & 0o777 == 0o600
        async with serving(lab, monkeypatch):
            box = await Client.get("box")
            assert [each.known for each in box.info.secrets] == [False]
            assert box.info.attention == "secrets have to be given again: sandtop net box secret API=…"
            with pytest.raises(NotFound, match=r"has no secret API for api\.example\.org:443"):
                await box.give_secrets("API=env:A_TOKEN@api.example.org")
            await box.give_secrets(GIVEN)
            assert [each.known for each in (await box.refresh()).secrets] == [True]
            assert (await box.refresh()).attention is None
        assert having(home, VALUE) == []

    run(case)


def test_a_secret_in_a_file_is_known_to_the_next_core(
    run: RunCase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{VALUE}\n")

    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch):
            await made(secrets=[f"KEY=file:{file}@api.example.com:8443"])
        async with serving(lab, monkeypatch) as core:
            (shown,) = (await Client.get("box")).info.secrets
            assert (shown.port, shown.file, shown.known) == (8443, str(file), True)
            vault = core.fleet.get("box").egress.keys.vault
            assert list(vault.values(vault.of("api.example.com", 8443)).values()) == [VALUE.encode()]

    run(case)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("API", "'API' does not say where its value is, and for whom"),
        (f"API={VALUE}@api.example.com", "'API' does not say where its value is, and for whom"),
        ("API=env:NOT_SET_AT_ALL@a.test", "is in the variable NOT_SET_AT_ALL, which is not set"),
        (GivenSecret(name="1A", host="a.test", value=VALUE), "'1A' of box has no name of an environment variable"),
        (GivenSecret(name="A", host="*.a.test", value=VALUE), "is for no single host, by its name"),
        (GivenSecret(name="A", host="192.0.2.1", value=VALUE), "is for no single host, by its name"),
        (GivenSecret(name="A", host="a b", value=VALUE), "is for no host: "),
        (GivenSecret(name="A", host="a.test"), "has to have a value or a file"),
        (GivenSecret(name="A", host="a.test", value=""), "has an empty value"),
        (GivenSecret(name="A", host="a.test", value=f"{VALUE}\nX: y"), "has a value with a line break in it"),
        (GivenSecret(name="A", host="a.test", value="seven77"), "has a value of 7 bytes: 8 to 4,096 are possible"),
        ("A=file:/not/there@a.test", "has a file that cannot be read: /not/there: No such file or directory"),
        ("A=file:/dev/zero@a.test", "has a file that is no plain file: /dev/zero"),
    ],
)  # fmt: skip
def test_what_can_be_no_secret(
    run: RunCase, monkeypatch: pytest.MonkeyPatch, given: str | GivenSecret, says: str
) -> None:
    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch) as core:
            with pytest.raises(InvalidRequest) as raised:
                await made(secrets=[given])
            assert says in raised.value.message
            assert VALUE not in str(raised.value)
            assert core.fleet.all() == []

    run(case)


def test_secrets_that_do_not_go_together(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(lab: Lab) -> None:
        async with serving(lab, monkeypatch):
            with pytest.raises(InvalidRequest, match="'API' of box is given twice"):
                await made(secrets=[GIVEN, GIVEN])
            with pytest.raises(InvalidRequest, match="API of box cannot be a variable and a secret"):
                await made(secrets=[GIVEN], env={"API": "x"})
            with pytest.raises(InvalidRequest, match="box cannot have the network none and secrets"):
                await made(secrets=[GIVEN], network="none")

    run(case)


def test_a_core_that_is_started_does_not_get_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[dict[str, str]] = []

    def start(*_: object, env: dict[str, str], **__: object) -> None:
        got.append(env)
        raise OSError(2, "not now")

    monkeypatch.setattr(subprocess, "run", start)
    assert repr(secret(GIVEN)) == "GivenSecret(name='API', host='api.example.com', file=None)"
    with pytest.raises(CoreUnavailable):
        launch()
    assert "A_TOKEN" not in got[0]
    assert "PATH" in got[0]
    read_from.clear()
