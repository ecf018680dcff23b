"""`walk_directory`: the files below a folder as one message for each file, in a fixed order."""

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.adapters.builtin._globs import Glob, GlobSet
from factflow_protocols import AdapterResult, Emit, PipelineContext, Reject, StageInfo, StatefulAdapter

logger = logging.getLogger("factflow_engine.adapters")


class WalkDirectoryConfig(BuiltinConfig):
    """The folder, and the files in it to emit."""

    root: str = Field(min_length=1)
    """The folder, relative to the pipeline's folder. Nothing outside it is ever emitted."""
    include: Annotated[tuple[Glob, ...], Field(min_length=1)] = ("**",)
    """Files to emit: globs on the name (`*.py`) or, with a slash, on the path below the root (`docs/**/*.md`)."""
    exclude: tuple[Glob, ...] = ()
    """Files to leave out, and folders not to enter, by the same globs."""
    symlinks: Literal["skip", "follow"] = "skip"
    """Links to files and folders: `skip` passes over them; `follow` follows those that stay within the root, and walks
    each folder once, under its first name in the walk."""
    on_error: Literal["fail", "skip"] = "fail"
    """Treatment of a folder that cannot be listed, a file or link that cannot be examined, and a name that is not text:
    `fail` fails the message, `skip` logs a warning and goes on."""


class WalkDirectory(StatefulAdapter):
    """Adapter that emits `{path, relative_path, name, suffix, size_bytes}` for each file below a folder."""

    config_model: ClassVar[type[Any] | None] = WalkDirectoryConfig
    summary: ClassVar[str] = "Emit each file below a folder, lazily, in sorted order."
    keeps_state: ClassVar[bool | None] = False

    def __init__(self, config: WalkDirectoryConfig) -> None:
        self._config = config
        self._include = GlobSet(config.include)
        self._exclude = GlobSet(config.exclude)
        self._directory = Path()

    async def open(self, stage: StageInfo) -> None:
        """Store the folder that the root is relative to."""
        self._directory = stage.directory

    def process(self, context: PipelineContext) -> AdapterResult:  # noqa: ARG002 - the message is only the occasion
        """Emit the files as they are pulled, one folder's entries in memory for each level of depth.

        Raises:
            NotADirectoryError: The root is not a folder.
            OSError: Something cannot be read while files are pulled, and `on_error` is `fail`.
        """
        root = (self._directory / self._config.root).resolve()
        if not root.is_dir():
            raise NotADirectoryError(f"root {str(root)!r} is not a folder")
        return AdapterResult(emitted=self._files(root))

    def _files(self, root: Path) -> Iterator[Emit]:
        # Real folders that were entered; only needed where links could lead to one twice.
        entered = {str(root)} if self._config.symlinks == "follow" else None
        pending = [self._entries(root, "")]
        while pending:
            entry = next(pending[-1], None)
            if entry is None:
                pending.pop()
                continue
            relative, found = entry
            try:
                folder, message = self._look(root, relative, found, entered)
            except OSError as error:
                self._pass_over(f"{found.path} cannot be read", error)
                continue
            if folder is not None:
                pending.append(folder)
            elif message is not None:
                # A second walk, after a crash, may find other files: the ordinals of the same files must not change.
                yield Emit(message, key=relative)

    def _look(
        self, root: Path, relative: str, found: os.DirEntry[str], entered: set[str] | None
    ) -> tuple[Iterator[tuple[str, os.DirEntry[str]]] | None, dict[str, Any] | None]:
        """Return the entries of a folder to enter, or the message of a file, or neither.

        Raises:
            OSError: The file or link cannot be examined.
        """
        if self._exclude.matches(relative) or not self._may_enter(root, relative, found):
            return None, None
        if found.is_dir():
            if entered is None or _first_visit(entered, found):
                return self._entries(Path(found.path), f"{relative}/"), None
        elif found.is_file() and self._include.matches(relative):
            return None, _described(relative, found)
        return None, None

    def _pass_over(self, problem: str, error: OSError) -> None:
        """Log a warning if errors are skipped, else raise the error."""
        if self._config.on_error == "fail":
            raise error
        logger.warning("%s: %s; it is skipped", problem, error.strerror or error)

    def _entries(self, folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self._pass_over(f"folder {folder} cannot be listed", error)
            return
        for entry in entries:
            if not entry.name.isprintable() and not _is_text(entry.name):
                problem = f"a name in {folder} is no text in the file system's encoding: {entry.name!r}"
                if self._config.on_error == "fail":
                    raise Reject(f"{problem}; set on_error: skip to pass over it")
                logger.warning("%s; it is skipped", problem)
                continue
            yield prefix + entry.name, entry

    def _may_enter(self, root: Path, relative: str, found: os.DirEntry[str]) -> bool:
        if not found.is_symlink():
            return True
        if self._config.symlinks == "skip":
            return False
        try:
            target = Path(found.path).resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError, RuntimeError):
            return False  # it leads nowhere, or in a circle: no file is behind it
        except OSError as error:
            if error.errno == errno.ELOOP:
                return False
            raise
        if target.is_relative_to(root):
            return True
        logger.warning("link %s is not followed: it leads out of %s", relative, root)
        return False


def _first_visit(entered: set[str], found: os.DirEntry[str]) -> bool:
    real = os.path.realpath(found.path)
    if real in entered:
        return False
    entered.add(real)
    return True


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _described(relative: str, found: os.DirEntry[str]) -> dict[str, Any] | None:
    try:
        size = found.stat().st_size
    except FileNotFoundError:
        return None  # removed since the folder was listed
    return {
        "path": found.path,
        "relative_path": relative,
        "name": found.name,
        "suffix": Path(found.name).suffix,
        "size_bytes": size,
    }
