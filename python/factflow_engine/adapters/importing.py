"""Import of modules that a configuration, an entry point or `--adapters` names, and what went wrong in it.

Kept separate from discovery because functions of `call` are imported in the same way. Importing runs foreign code, which
may fail in any way: each failure becomes an `ImportProblem` with the user's line and what to write instead.
"""

import hashlib
import importlib
import importlib.util
import linecache
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

from factflow_engine.adapters.import_remedies import missing_remedy, not_found_remedy, remedy_of
from factflow_engine.adapters.program_check import ProgramCall, program_call
from factflow_engine.error_texts import describe
from factflow_engine.errors import AdapterRegistrationError
from factflow_engine.user_frames import UserFrame, innermost, user_frames
from factflow_protocols import FactflowError

FAILED: Final = "E308"
MISSING: Final = "E309"
RUNS_PROGRAM: Final = "E310"
UNUSABLE: Final = "E311"
T = TypeVar("T")

GUARD: Final = 'if __name__ == "__main__":'


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportProblem:
    """Reason why a module, or an adapter class in it, cannot be used.

    Attributes:
        code: Stable code, a key of `factflow_engine.config.CATALOGUE`.
        error: Class and text of the exception, or the problem.
        file: Path of the user's file with the problem; empty if it is none of theirs.
        line: Line in the file, from 1; 0 without a file.
        column: Column in the line, from 1; 0 without a file.
        remedy: What to write instead.
    """

    code: str
    error: str
    file: str = ""
    line: int = 0
    column: int = 0
    remedy: str

    @property
    def place(self) -> str:
        """`file:line`; empty if there is no file."""
        return f"{self.file}:{self.line}" if self.file else ""

    def __str__(self) -> str:
        where = f" ({self.place})" if self.file else ""
        return f"{self.error}{where}; {self.remedy}"


class ModuleImportError(FactflowError):
    """Failure of an import; internal, because whoever imports reports it as a finding.

    Attributes:
        problem: What went wrong.
    """

    def __init__(self, problem: ImportProblem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def import_named(name: str) -> ModuleType:
    """Import a module by its dotted name.

    Raises:
        ModuleImportError: The import failed, or would run a program.
    """
    return sys.modules.get(name) or guarded(lambda: _import(name), wanted=name)


def import_file(path: Path) -> ModuleType:
    """Import a Python file that need not be importable by name. Its folder is not put on the import path.

    Raises:
        ModuleImportError: The import failed, or would run a program.
    """
    resolved = path.resolve()
    digest = hashlib.blake2b(str(resolved).encode(), digest_size=6).hexdigest()
    name = f"factflow_adapters_{digest}_{resolved.stem}"
    return sys.modules.get(name) or guarded(lambda: _load_file(name, resolved), file=resolved)


def guarded(call: Callable[[], T], *, wanted: str = "", file: Path | None = None) -> T:
    """Return what a call of foreign code returns. KeyboardInterrupt is raised as it is: the user asked for it.

    Raises:
        ModuleImportError: The call raised anything else, `SystemExit` included.
    """
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except ModuleImportError:
        raise
    except BaseException as error:
        # A program that was started by the import wraps Ctrl-C in groups; it must not be taken for a fault.
        if isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt) is not None:
            raise
        raise ModuleImportError(problem_of(error, wanted=wanted, file=file)) from error


def problem_of(error: BaseException, *, wanted: str = "", file: Path | None = None) -> ImportProblem:
    """Return what an exception at import means.

    Args:
        error: The exception.
        wanted: Dotted name of the module that was imported.
        file: The file that was imported.
    """
    if isinstance(error, ModuleImportError):
        return error.problem
    if isinstance(error, SyntaxError) and error.filename and error.lineno and Path(error.filename).is_file():
        return ImportProblem(
            code=FAILED,
            error=f"{type(error).__name__}: {error.msg}",
            file=error.filename,
            line=error.lineno,
            column=max(1, error.offset or 1),
            remedy="correct the line, or the one before it",
        )
    if isinstance(error, AdapterRegistrationError):
        return ImportProblem(code=UNUSABLE, error=error.problem, remedy=error.remedy)
    frames = user_frames(error)
    if isinstance(error, ModuleNotFoundError) and error.name and _is_absent(error.name):
        if not frames and (wanted == error.name or wanted.startswith(f"{error.name}.")):
            return ImportProblem(
                code=MISSING, error=f"there is no module {error.name!r}", remedy=not_found_remedy(wanted, error.name)
            )
        return _located(MISSING, _missing_text(error, frames), frames, missing_remedy(error.name, frames, file))
    return _located(FAILED, describe(error), frames, remedy_of(error, frames))


def _import(name: str) -> ModuleType:
    spec = importlib.util.find_spec(name)  # imports the packages around it
    if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
        _refuse_program(Path(spec.origin))
    return importlib.import_module(name)


def _load_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModuleImportError(
            ImportProblem(code=MISSING, error="this is not a Python file", remedy="name a file that ends in .py")
        )
    _refuse_program(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look up their module while it runs
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _refuse_program(file: Path) -> None:
    call: ProgramCall | None = program_call(file)
    if call is None:
        return
    through = "" if call.name == call.runner else f", which leads to {call.runner}()"
    raise ModuleImportError(
        ImportProblem(
            code=RUNS_PROGRAM,
            error=f"importing this module would run the program: it calls {call.name}(){through}",
            file=str(file),
            line=call.line,
            column=call.column,
            remedy=f"put the call under {GUARD} or move the adapters to a module of their own",
        )
    )


def first_column(file: str, line: int) -> int:
    """Return the column, from 1, at which a line's text begins."""
    linecache.checkcache(file)  # the file may have been corrected since it was last read
    text = linecache.getline(file, line)
    return len(text) - len(text.lstrip()) + 1 if text.strip() else 1


def _located(code: str, text: str, frames: list[UserFrame], remedy: str) -> ImportProblem:
    frame = innermost(frames)
    if frame is None:
        return ImportProblem(code=code, error=text, remedy=remedy)
    column = first_column(frame.file, frame.line)
    return ImportProblem(code=code, error=text, file=frame.file, line=frame.line, column=column, remedy=remedy)


def _missing_text(error: ModuleNotFoundError, frames: list[UserFrame]) -> str:
    asker = frames[-1] if frames else None
    if asker is None or not asker.is_installed:
        return describe(error)
    return f"{describe(error)}, which {asker.file}:{asker.line} imports"


def _is_absent(name: str) -> bool:
    """True if no module of this name can be found; an error may name one that is there, and raise for another reason."""
    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError, AttributeError):
        return True
