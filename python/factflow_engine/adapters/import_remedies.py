"""Remedies for failed imports: one for each kind of mistake.

Kept separate from the import because each rule here is one mistake that people make, with what to write instead.
"""

import difflib
import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Final

from factflow_engine.user_frames import UserFrame

_GUARD: Final = 'if __name__ == "__main__":'
_ENVIRONMENT: Final = f"into the environment that runs this ({sys.prefix})"
_WHERE_TO_LOOK: Final = "install its package, or put its folder on PYTHONPATH"
_DISTRIBUTIONS: Final = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Well-known modules that are not named as their distributions are."""

_BY_TEXT: Final = (
    (
        "partially initialized module",
        "these modules import each other: move what both need to a module that imports neither",
    ),
    (
        "attempted relative import",
        "a file that is given by its path is in no package: give its module's dotted name, or import by absolute name",
    ),
    (
        "Attempted to call run() from inside a run()",
        f"the module starts trio while it is imported: put the call under {_GUARD}",
    ),
    (
        "cannot be called from a running event loop",
        f"the module starts an event loop while it is imported: put the call under {_GUARD}",
    ),
)
"""Parts of errors' texts that name a mistake, and the remedy for it."""


def remedy_of(error: BaseException, frames: list[UserFrame]) -> str:
    """Return the remedy for an exception that a module raised while it was imported."""
    text = str(error)
    for part, remedy in _BY_TEXT:
        if part in text:
            return remedy + _circle(frames) if part.startswith("partially") else remedy
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        return f"the module ends the program when it is imported: put what it runs under {_GUARD}"
    if isinstance(error, ImportError) and error.name:
        return f"correct the name, or install a version of {error.name.partition('.')[0]} that has it"
    return f"correct this line; what only a program does belongs under {_GUARD}"


def missing_remedy(name: str, frames: list[UserFrame], file: Path | None) -> str:
    """Return the remedy for a module that another one imports, and that is not there."""
    top = name.partition(".")[0]
    asker = Path(frames[-1].file).parent if frames else None
    for folder in {asker, file.parent if file is not None else None} - {None}:
        assert folder is not None
        if (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file():
            return (
                f"{top} lies beside it in {folder}, which is not on the import path: set PYTHONPATH={folder}, or start "
                "factflow there"
            )
    if name != top and _is_there(top):
        return f"{top} is there and has no {name!r}: correct the name, or install a version that has it"
    near = difflib.get_close_matches(top, _top_level_names(), 1, cutoff=0.8)
    guess = f"; or did you mean {near[0]!r}?" if near and near[0] != top else ""
    return (
        f"install the package that has it {_ENVIRONMENT}: python -m pip install {_DISTRIBUTIONS.get(top, top)}{guess}"
    )


def not_found_remedy(wanted: str, missing: str) -> str:
    """Return the remedy for a module that was asked for by name and is not there."""
    if wanted == missing and (distribution := _modules_of(wanted)):
        return f"{wanted} is a distribution, not a module; its modules are: {', '.join(distribution)}"
    parent, _, last = missing.rpartition(".")
    beside = _names_in(parent) if parent else _top_level_names()
    spelled = last.replace("-", "_")
    near = [spelled] if spelled in beside else difflib.get_close_matches(last, beside, 1, cutoff=0.7)
    guess = f"did you mean {f'{parent}.' * bool(parent)}{near[0]}? " if near and near[0] != last else ""
    return f"{guess}{_WHERE_TO_LOOK}"


def _circle(frames: list[UserFrame]) -> str:
    names = list(dict.fromkeys(Path(frame.file).name for frame in frames))
    return f" ({' -> '.join([*names, names[0]])})" if len(names) > 1 else ""


def _is_there(name: str) -> bool:
    return name in sys.modules or name in _top_level_names()


def _names_in(package: str) -> list[str]:
    module = sys.modules.get(package)
    return sorted(info.name for info in pkgutil.iter_modules(getattr(module, "__path__", ())))


def _top_level_names() -> list[str]:
    return sorted({info.name for info in pkgutil.iter_modules()})


def _modules_of(distribution: str) -> list[str]:
    wanted = distribution.replace("_", "-").lower()
    metadata = importlib.import_module("importlib.metadata")  # slow to import, and rarely needed
    return sorted(
        module
        for module, names in metadata.packages_distributions().items()
        if wanted in {name.replace("_", "-").lower() for name in names} and module.isidentifier()
    )
