"""Whom programs of a sandbox trust: the files that the agent writes, whatever is in their place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandtop.agent.trust import trust, trusted
from sandtop.agent.wire import CA_BUNDLE, CA_FILE
from sandtop.agent.wire.values import InvalidMessage

if TYPE_CHECKING:
    from pathlib import Path

OWN, BUNDLE = CA_FILE.lstrip("/"), CA_BUNDLE.lstrip("/")
NEW = "-----BEGIN CERTIFICATE-----\nnew\n-----END CERTIFICATE-----\n"
OLD = "-----BEGIN CERTIFICATE-----\nold\n-----END CERTIFICATE-----"


def test_an_image_without_any_gets_both_files(tmp_path: Path) -> None:
    assert trust(NEW, str(tmp_path)) == []
    assert (tmp_path / OWN).read_text() == (tmp_path / BUNDLE).read_text() == NEW


@pytest.mark.parametrize("place", [BUNDLE, "etc/pki/tls/certs/ca-bundle.crt"])
def test_what_the_image_trusts_stays_and_a_second_start_adds_nothing(tmp_path: Path, place: str) -> None:
    before = tmp_path / place
    before.parent.mkdir(parents=True)
    before.write_text(OLD)
    for _ in range(2):
        assert trust(NEW, str(tmp_path)) == []
        assert (tmp_path / BUNDLE).read_text() == f"{OLD}\n{NEW}"


def test_what_cannot_be_written_is_said_and_nothing_blocks(tmp_path: Path) -> None:
    bundle = tmp_path / BUNDLE
    bundle.parent.mkdir(parents=True)
    os.mkfifo(bundle)  # which `replace` puts a file in the place of
    (tmp_path / "usr").write_text("no folder")
    (warning,) = trust(NEW, str(tmp_path))
    assert warning == f"{tmp_path / OWN} could not be written: Not a directory"
    assert bundle.read_text() == NEW


def test_one_that_is_too_long_is_refused() -> None:
    assert trusted({}) is None
    with pytest.raises(InvalidMessage):
        trusted({"trust": "x" * 20_000})
