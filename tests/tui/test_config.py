"""The ``[console]`` table of config.toml: what may be set, and what is said of a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import InvalidRequest, StorageError
from sandtop.core.settings import Settings
from sandtop.tui.config import Config, ConfigFile, read
from sandtop.tui.config.keys import key_name

if TYPE_CHECKING:
    from pathlib import Path


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_without_a_file_all_is_as_it_comes(tmp_path: Path) -> None:
    assert read(tmp_path / "config.toml") == Config()
    assert read(written(tmp_path, "warm_machines = 3\n")) == Config()


def test_everything_can_be_set(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[console]\ntheme = "terminal"\ncolumns = ["name", "need"]\nfilter = "!state:stopped"\nsort = "cpu"\n'
        'confirm = ["remove"]\n[console.keys.fleet]\nlogs = ["Z", "ctrl+l"]\nexec = "F5"\nraw = []\n',
    )
    config = read(path)
    assert config.theme == "terminal"
    assert config.columns == ("name", "need")
    assert (config.filter, config.sort, config.confirm) == ("!state:stopped", "cpu", ("remove",))
    assert config.keys == {"fleet.logs": ("Z", "ctrl+l"), "fleet.exec": ("f5",), "fleet.raw": ()}
    assert config.named == {"theme", "columns", "filter", "sort", "confirm", "keys"}
    assert Settings.load(path) == Settings()  # the core has nothing to say of it


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("console = 3\n", "console must be a table, not 3"),
        ('[console]\nthem = "dark"\n', "there is no setting console.them"),
        ('[console]\ntheme = "pink"\n', "console.theme must be one of dark, light, terminal, not 'pink'"),
        ("[console]\ntheme = 1\n", "console.theme must be one of dark, light, terminal, not 1"),
        ('[console]\ncolumns = "name"\n', "console.columns must be a list of names, not 'name'"),
        ('[console]\ncolumns = ["name", "size"]\n', "console.columns: there is no 'size'"),
        ('[console]\ncolumns = ["name", "name"]\n', "console.columns names one twice: name, name"),
        ('[console]\nsort = "size"\n', "console.sort must be one of name, state,"),
        ('[console]\nfilter = ["a"]\n', "console.filter must be a line of text, not ['a']"),
        ('[console]\nconfirm = ["create"]\n', "console.confirm: there is no 'create'"),
        ("[console]\nkeys = 1\n", "console.keys must be a table, not 1"),
        ("[console.keys]\nfleet = 1\n", "console.keys.fleet must be a table of actions, not 1"),
        ('[console.keys.flet]\nlogs = "L"\n', "console.keys: there is no scope flet"),
        ('[console.keys.fleet]\nlog = "L"\n', "console.keys.fleet: there is no action log"),
        (
            "[console.keys.fleet]\nlogs = 1\n",
            "console.keys.fleet.logs must be a key or a list of keys, not 1",
        ),
        ('[console.keys.fleet]\nlogs = "hyper+l"\n', "console.keys.fleet.logs: there is no key 'hyper+l'"),
        ('[console.keys.fleet]\nlogs = "x"\n', "fleet.logs and fleet.exec both have the key x"),
        ('[console.keys.fleet]\nlogs = "?"\n', "fleet.logs and app.help both have the key ?"),
        ("[console\n", "is not valid"),
        ("\xff", "is not valid"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidRequest) as caught:
        read(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read the settings"):
        read(tmp_path)
    path = written(tmp_path, "# a log\n" * 200_000)
    with pytest.raises(InvalidRequest, match="more than"):
        read(path)


def test_two_actions_may_change_places(tmp_path: Path) -> None:
    path = written(tmp_path, '[console.keys.fleet]\nlogs = "x"\nexec = "l"\n')
    assert read(path).keys == {"fleet.logs": ("x",), "fleet.exec": ("l",)}


@pytest.mark.parametrize(
    ("typed", "name"),
    [("x", "x"), ("?", "?"), ("Ctrl+X", "ctrl+x"), ("F5", "f5"), ("ctrl+space", "ctrl+@"), 
     ("ctrl+]", "ctrl+right_square_bracket"),
     ("shift+Tab", "shift+tab"), (",", ","), ("+", "+")],
)  # fmt: skip
def test_keys_as_they_are_written(typed: str, name: str) -> None:
    assert key_name(typed) == name


@pytest.mark.parametrize("typed", ["", " ", "hyper+x", "ctrl+", "ctrl+ctrl+x", "shift+x", "f13", "xx", "\n"])
def test_what_is_no_key(typed: str) -> None:
    with pytest.raises(ValueError, match="there is no key"):
        key_name(typed)


def test_the_file_is_read_when_it_has_changed(tmp_path: Path) -> None:
    file = ConfigFile(tmp_path / "config.toml")
    assert not file.look()
    written(tmp_path, '[console]\ntheme = "light"\n')
    assert file.look()
    assert not file.look()
    assert file.config.theme == "light"
    written(tmp_path, '[console]\ntheme = "pinkish"\n')
    with pytest.raises(InvalidRequest):
        file.look()
    assert not file.look()  # said once
    assert file.config.theme == "light"
    (tmp_path / "config.toml").unlink()
    assert file.look()
    assert file.config == Config()
