"""The settings: what may be set, and to what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import InvalidRequest
from sandtop.core.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def test_all_are_optional(tmp_path: Path) -> None:
    assert Settings.load(tmp_path / "config.toml") == Settings()


def test_what_is_set(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('accelerator = "tcg"\nwarm_machines = 0\n')
    assert Settings.load(path) == Settings(accelerator="tcg", warm_machines=0)


def test_alert_rules_and_the_consoles_own_table(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[[alerts]]\nname = 'quiet'\nwhen = 'silence > 10m'\n[console]\nanything = 1\n")
    (rule,) = Settings.load(path).alerts
    assert (rule.name, rule.when.text) == ("quiet", "silence > 10m")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('accelerator = "hvf"', "accelerator must be one of auto, kvm, tcg, not 'hvf'"),
        ("accelerator = 1", "accelerator must be one of auto, kvm, tcg, not 1"),
        ('warm_machines = "2"', "warm_machines must be a whole number from 0 on, not '2'"),
        ("stop_seconds = 601", "stop_seconds must be a whole number from 1 to 600, not 601"),
        ("translation_cache_mib = 8", "translation_cache_mib must be a whole number from 16 to 1024, not 8"),
        ("warm = 2", "there is no setting warm"),
        ("alerts = 3", "alerts must be tables"),
        (
            "[[alerts]]\nname = 'a'\nwhen = \"name ~ '('\"",
            "alert 'a': when: RE2 does not take the pattern '('",
        ),
        ("[[alerts]]\nname = 'a'\nwhen = 'exit ='", "alert 'a': when: after exit a comparison is missing"),
        ("accelerator", "is not valid"),
    ],
)
def test_what_makes_no_sense(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(InvalidRequest) as caught:
        Settings.load(path)
    assert says in caught.value.message
