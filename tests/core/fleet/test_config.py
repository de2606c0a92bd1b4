"""What a sandbox may be created with."""

from __future__ import annotations

import pytest

from sandtop.core.errors import InvalidRequest
from sandtop.core.fleet import accelerator_from_request, config_from_request


def test_what_is_not_said_is_left_to_the_core() -> None:
    assert config_from_request({}).accelerator == ""
    assert config_from_request({"accelerator": None}).accelerator == ""


@pytest.mark.parametrize("name", ["kvm", "tcg"])
def test_an_accelerator(name: str) -> None:
    assert config_from_request({"accelerator": name}).accelerator == name
    assert accelerator_from_request({"accelerator": name}) == name


@pytest.mark.parametrize("name", ["", "auto", "KVM", 1, True, ["kvm"]])
def test_none_that_there_is(name: object) -> None:
    with pytest.raises(InvalidRequest, match="accelerator must be"):
        config_from_request({"accelerator": name})


def test_memory_that_no_guest_boots_with() -> None:
    assert config_from_request({"memory": 128}).memory == 128
    with pytest.raises(InvalidRequest, match="memory must be a whole number from 128 to"):
        config_from_request({"memory": 127})
