"""Home: the one directory with the execution store, the lineage and the objects of a machine's pipelines.

Kept separate from the stores because a home only says where they lie: each is opened by its own room, from a URL.
"""

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote

from factflow_engine.seams import Randomness, SystemRandomness
from factflow_engine.syncing import sync_folder
from factflow_protocols import FactflowError

DEFAULT_HOME: Final = ".factflow"
"""Home of a command that names none, in its working directory."""

HOME_VARIABLE: Final = "FACTFLOW_HOME"
"""Variable of the environment that names the home of commands without `--home`."""

VERSION: Final = 1
"""Version of the layout below; a home of a later one is refused."""

_VERSION_FILE: Final = "factflow-home"
"""File with the version; its name is one that no other program gives to its files."""

_UNFINISHED: Final = ".unfinished-"
_LONGEST_VERSION: Final = 32
_PARTS: Final = frozenset(
    {"executions.db", "executions.db-wal", "executions.db-shm", "lineage", "objects", ".gitignore"}
)
"""Entries that a home may have beside its version; a folder without a version and with others is none."""

_REASONS: Final = {
    errno.ENOSPC: "there is no room left on its disk; make room, or choose another with --home",
    errno.EDQUOT: "the disk quota is spent; make room, or choose another with --home",
    errno.EROFS: "its file system is read-only; choose another with --home",
    errno.EACCES: "permission denied; change the owner or the mode of the folder, or choose another with --home",
    errno.EPERM: "permission denied; change the owner or the mode of the folder, or choose another with --home",
    errno.ENAMETOOLONG: "the path is too long; choose another with --home",
    errno.ELOOP: "its symbolic links lead in a circle; choose another with --home",
    errno.ENOTDIR: "a part of its path is a file; choose another with --home",
}


class HomeError(FactflowError):
    """Unusable home; the operator must act.

    Attributes:
        path: The directory.
    """

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(f"home {str(path)!r}: {problem}")


class Home:
    """One directory: `executions.db`, `lineage/`, `objects/`. Making this object touches nothing.

    Example:
        home = find_home("home-of-tests")
        home.make()
        assert home.exists()

    Attributes:
        path: The directory, absolute.
        is_named: True if somebody chose it, rather than the default.
    """

    def __init__(self, path: Path | str, *, is_named: bool = True, randomness: Randomness | None = None) -> None:
        """Note the path.

        Args:
            path: The directory.
            is_named: True if somebody chose it, rather than the default.
            randomness: Source of the names of unfinished files; the system's by default.

        Raises:
            HomeError: No directory can have this path.
        """
        text = os.fspath(path)
        if not text or not text.isprintable():
            raise HomeError(Path(text.replace("\0", "?")), "is no path; write one such as --home .factflow")
        self.path: Final = Path(os.path.abspath(text))  # noqa: PTH100 - Path.absolute() keeps `..`, resolve() reads links
        self.is_named: Final = is_named
        self._randomness = SystemRandomness() if randomness is None else randomness

    def __repr__(self) -> str:
        return f"Home({str(self.path)!r})"

    @property
    def executions(self) -> Path:
        """File of the execution store."""
        return self.path / "executions.db"

    @property
    def lineage(self) -> Path:
        """Folder of the lineage segments."""
        return self.path / "lineage"

    @property
    def objects(self) -> Path:
        """Folder of the stored objects."""
        return self.path / "objects"

    @property
    def executions_url(self) -> str:
        """URL of the execution store, as `open_executions` takes it."""
        return f"sqlite:///{quote(str(self.executions))}"

    @property
    def lineage_url(self) -> str:
        """URL of the lineage, as `open_lineage` takes it."""
        return f"sqlite:///{quote(str(self.lineage))}"

    @property
    def objects_url(self) -> str:
        """URL of the object store, as `open_storage` takes it."""
        return f"file://{quote(str(self.objects))}"

    def exists(self) -> bool:
        """True if the directory was made as a home."""
        try:
            return (self.path / _VERSION_FILE).is_file()
        except OSError:
            return False  # not to be looked into: whatever needs it says so

    def check(self) -> None:
        """Refuse a directory that is there and is no home of this version. Makes nothing.

        Raises:
            HomeError: It is a file, or another program's folder, or of a later version, or cannot be read.
        """
        try:
            entries = {entry.name for entry in os.scandir(self.path)}
        except FileNotFoundError:
            if self.path.is_symlink():
                raise HomeError(
                    self.path, "is a symbolic link that leads nowhere; make its target, or remove it"
                ) from None
            return
        except NotADirectoryError:
            self._refuse_file()
        except OSError as error:
            raise self._refused("cannot be read", error) from error
        if _VERSION_FILE in entries:
            self._check_version()
            return
        others = sorted(name for name in entries - _PARTS if not name.startswith(_UNFINISHED))
        if others:
            raise HomeError(
                self.path,
                f"is a folder with other things in it, such as {others[0]!r}; name a new or an empty one with --home",
            )

    def make(self) -> None:
        """Make the directory, or an empty folder that is there, a home that its owner alone can enter, unless it is one.

        Its parts are made by what opens them.

        Several processes may do so at once. Blocks for a few milliseconds.

        Raises:
            HomeError: It cannot be made, or is no home of this version.
        """
        if self.exists():
            self._check_version()
            return
        self.check()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.path.mkdir(mode=0o700)
            except FileExistsError:
                if not self.path.is_dir():
                    self._refuse_file()
                with suppress(PermissionError):  # another user's, such as a mounted volume; `factflow doctor` says so
                    self.path.chmod(0o700)
            self._write(".gitignore", "*\n")  # records and objects are no sources
            self._write(_VERSION_FILE, f"{VERSION}\n")
            for folder in (self.path, self.path.parent):
                sync_folder(folder)
        except OSError as error:
            raise self._refused("cannot be made", error) from error

    def _write(self, name: str, text: str) -> None:
        """Write a file whole or not at all."""
        unfinished = self.path / f"{_UNFINISHED}{self._randomness.token(12).hex()}"
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            unfinished.replace(self.path / name)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def _check_version(self) -> None:
        try:
            with (self.path / _VERSION_FILE).open("rb") as file:
                text = file.read(_LONGEST_VERSION).decode("ascii", "replace").strip()
        except OSError as error:
            raise self._refused("its version cannot be read", error) from error
        if not text.isdecimal():
            raise HomeError(
                self.path,
                f"its file {_VERSION_FILE!r} is damaged: expected a number, got {text!r}; write {VERSION} into it",
            )
        if int(text) > VERSION:
            raise HomeError(
                self.path,
                f"is of version {int(text)}, this engine knows {VERSION}; use the engine that made it, or another --home",
            )

    def _refuse_file(self) -> NoReturn:
        if os.path.lexists(self.path):
            raise HomeError(
                self.path, "is a file; expected a folder: move the file away, or choose another with --home"
            )
        raise HomeError(self.path, f"cannot be made: {_REASONS[errno.ENOTDIR]}")

    def _refused(self, what: str, error: OSError) -> HomeError:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        return HomeError(self.path, f"{what}: {reason}")


def find_home(named: Path | str | None, *, environ: Mapping[str, str] = os.environ) -> Home:
    """Return the home that is named, or that `FACTFLOW_HOME` names, or the default in the working directory.

    Raises:
        HomeError: No directory can have this path.
    """
    if named is not None:
        return Home(named)
    variable = environ.get(HOME_VARIABLE)
    return Home(variable) if variable else Home(DEFAULT_HOME, is_named=False)
