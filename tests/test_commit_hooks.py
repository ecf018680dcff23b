"""The hooks that `make hooks` installs let good commits pass and stop bad ones."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.doc_pages import ROOT

GOOD = '"""A module."""\n\nNAME = "queue"\n'
BAD = {
    "ruff-check": '"""A module."""\n\nimport os\n\nNAME = "queue"\n',
    "ruff-format": '"""A module."""\nNAME = "queue"\n',
    "codespell": f'"""A {"het"[::-1]} module."""\n\nNAME = "queue"\n',
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with our configuration and tools, and nothing in it."""
    for name in (".pre-commit-config.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / ".gitignore").write_text(".venv\nhome\n", encoding="utf-8")
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "commit_subject.py", tmp_path / ".ci")
    (tmp_path / "tests").mkdir()
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PRE_COMMIT", "PYTEST"))}
    who = {f"GIT_{role}_{part}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    return kept | who | {"PRE_COMMIT_HOME": str(folder / "home"), "GIT_CONFIG_GLOBAL": os.devnull}


def git(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=environment(folder), capture_output=True, text=True, check=check
    )


def hooks(folder: Path) -> tuple[int, set[str]]:
    """Exit status of all hooks on all files, and which failed."""
    ran = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    failed = {line.removeprefix("- hook id: ") for line in ran.stdout.splitlines() if line.startswith("- hook id: ")}
    return ran.returncode, failed


def test_good_files_pass_every_hook(repository: Path) -> None:
    (repository / "tests" / "good.py").write_text(GOOD, encoding="utf-8")
    git(repository, "add", "tests/good.py")
    assert hooks(repository) == (0, set())


@pytest.mark.parametrize("hook", BAD)
def test_a_bad_file_is_stopped_by_its_hook(hook: str, repository: Path) -> None:
    (repository / "tests" / "bad.py").write_text(BAD[hook], encoding="utf-8")
    git(repository, "add", "tests/bad.py")
    assert hooks(repository) == (1, {hook})


def test_a_commit_is_stopped_for_its_subject(repository: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pre_commit", "install"],
        cwd=repository,
        env=environment(repository),
        capture_output=True,
        check=True,
    )
    subjects = {
        "queues: keep the order of equal keys": 0,
        "runtime/hop: carry what a source emits": 0,
        "Keep the order of equal keys": 1,
        f"queues: {'x' * 65}": 1,
        f"queues: {'x' * 64}": 0,
        'Revert "queues: keep the order"': 0,
    }
    found = {text: git(repository, "commit", "--allow-empty", "-qm", text, check=False).returncode for text in subjects}
    assert found == subjects
