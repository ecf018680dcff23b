"""A home is one directory that is made whole, once, and refused with one clear error."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from factflow_engine.executions import Home, HomeError, find_home
from factflow_engine.testing.virtual_time import SimulatedRandomness


def test_naming_a_home_touches_nothing(tmp_path: Path):
    home = find_home(tmp_path / "home")
    home.check()
    assert not home.exists()
    assert not list(tmp_path.iterdir())


def test_a_home_is_for_its_owner_alone_and_not_for_git(tmp_path: Path):
    home = Home(tmp_path / "deep" / "home")
    home.make()
    assert home.exists()
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert (home.path / ".gitignore").read_text() == "*\n"
    assert {path.name for path in home.path.iterdir()} == {".gitignore", "factflow-home"}


def test_a_seed_names_its_unfinished_files(tmp_path: Path):
    taken = tmp_path / f".unfinished-{SimulatedRandomness(1).token(12).hex()}"
    taken.touch()
    with pytest.raises(HomeError, match="File exists"):
        Home(tmp_path, randomness=SimulatedRandomness(1)).make()
    Home(tmp_path, randomness=SimulatedRandomness(2)).make()


def test_an_empty_folder_becomes_its_owners_alone(tmp_path: Path, monkeypatch):
    for name in ("mine", "mounted"):
        (tmp_path / name).mkdir(mode=0o755)
    Home(tmp_path / "mine").make()
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o700

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refuse)
    Home(tmp_path / "mounted").make()
    assert Home(tmp_path / "mounted").exists()


def test_making_it_again_changes_nothing(tmp_path: Path):
    home = Home(tmp_path / "home")
    home.make()
    (home.path / "anything").touch()  # what others put in later is theirs
    before = (home.path / "factflow-home").stat().st_ino
    home.make()
    assert (home.path / "factflow-home").stat().st_ino == before


def test_it_is_named_by_the_option_then_the_environment_then_the_default(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_home("a", environ={"FACTFLOW_HOME": "b"}).path == tmp_path / "a"
    assert find_home(None, environ={"FACTFLOW_HOME": "b"}).path == tmp_path / "b"
    default = find_home(None, environ={"FACTFLOW_HOME": ""})
    assert (default.path, default.is_named) == (tmp_path / ".factflow", False)


def test_urls_carry_any_path(tmp_path: Path):
    from factflow_engine.queues.sqlite.location import SqliteSettings

    home = Home(tmp_path / "a b%20?#&é")
    assert SqliteSettings.from_url(home.executions_url).path == home.executions
    assert home.lineage_url.startswith("sqlite:////")
    assert home.objects_url.startswith("file:///")


def refusal(home: Home) -> str:
    with pytest.raises(HomeError) as caught:
        home.make()
    assert caught.value.path == home.path
    return str(caught.value)


def test_a_file_in_its_place_is_refused(tmp_path: Path):
    (tmp_path / "home").write_text("mine")
    assert "is a file; expected a folder" in refusal(Home(tmp_path / "home"))
    assert "a part of its path is a file" in refusal(Home(tmp_path / "home" / "below"))
    assert (tmp_path / "home").read_text() == "mine"


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    (tmp_path / "sources").touch()
    assert "other things in it, such as 'sources'" in refusal(Home(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"sources"}


def test_an_empty_folder_and_one_that_lost_its_version_become_a_home(tmp_path: Path):
    (tmp_path / "objects").mkdir()
    (tmp_path / ".unfinished-abc").touch()  # its maker died
    Home(tmp_path).make()
    assert Home(tmp_path).exists()


@pytest.mark.parametrize(
    ("text", "says"), [("2", "version 2, this engine knows 1"), ("", "damaged"), ("x" * 999, "damaged")]
)
def test_a_later_version_and_a_damaged_one_are_refused(tmp_path: Path, text: str, says: str):
    (tmp_path / "factflow-home").write_text(text)
    said = refusal(Home(tmp_path))
    assert says in said
    assert len(said) < 300 + len(str(tmp_path))


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path):
    (tmp_path / "home").symlink_to(tmp_path / "gone")
    assert "leads nowhere" in refusal(Home(tmp_path / "home"))


@pytest.mark.parametrize("path", ["", "a\0b", "a\nb"])
def test_a_text_that_is_no_path_is_refused(path: str):
    with pytest.raises(HomeError, match="is no path"):
        Home(path)


@pytest.mark.parametrize("code", ["ENOSPC", "EACCES", "EROFS", "EIO"])
def test_what_the_system_refuses_is_said_once(tmp_path: Path, monkeypatch, code: str):
    import errno

    def refuse(*_: object, **__: object) -> None:
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr("factflow_engine.executions.home.os.open", refuse)
    said = refusal(Home(tmp_path / "home"))
    assert "cannot be made: " in said
    assert ("--home" in said) == (code != "EIO")


def test_a_write_that_fails_leaves_no_part(tmp_path: Path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("factflow_engine.executions.home.os.fsync", full)
    assert "no room left" in refusal(Home(tmp_path / "home"))
    assert not list((tmp_path / "home").iterdir())
    monkeypatch.undo()
    Home(tmp_path / "home").make()


def test_processes_may_make_it_at_once(tmp_path: Path):
    program = "import sys; from factflow_engine.executions import Home; Home(sys.argv[1]).make()"
    makers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "home")], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for maker in makers:
        _, said = maker.communicate(timeout=60)
        assert maker.returncode == 0, said
    assert {path.name for path in (tmp_path / "home").iterdir()} == {".gitignore", "factflow-home"}
