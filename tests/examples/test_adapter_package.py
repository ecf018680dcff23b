"""The example of a package of adapters is built, installed and tested as its author would, beside the engine."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SCRIPTS = Path(sysconfig.get_path("scripts"))
FACTFLOW = SCRIPTS / "factflow"
EXAMPLE = Path(__file__).parents[2] / "examples" / "adapter_package"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")


def run(*command: str | Path, path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=EXAMPLE, env=environment, capture_output=True, text=True, check=False, timeout=100, **more
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package was built from source and installed into, without asking any index."""
    folder = tmp_path_factory.mktemp("site")
    made = run(
        SCRIPTS / "uv", "pip", "install", "--quiet", "--offline", "--no-cache", "--no-deps", "--python", sys.executable,
        "--target", folder, EXAMPLE, path=folder,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    return folder


def test_the_packages_own_tests_pass_on_what_was_installed(installed: Path) -> None:
    ran = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path=installed)
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout


def test_the_command_finds_the_adapter_of_an_installed_package(installed: Path) -> None:
    listed = run(FACTFLOW, "adapters", "show", "redact", path=installed)
    assert listed.returncode == 0, listed.stderr
    assert "Mask e-mail addresses" in listed.stdout


def test_the_packages_pipeline_does_what_its_readme_shows(installed: Path) -> None:
    [command] = re.findall(r"^echo '(.*)' \| factflow run pipeline.yaml$", README, flags=re.MULTILINE)
    [shown] = re.findall(r"^# (\{.*\})$", README, flags=re.MULTILINE)
    ran = run(FACTFLOW, "run", "pipeline.yaml", path=installed, input=f"{command}\n")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"{shown}\n"


def test_without_the_package_nobody_knows_the_adapter(tmp_path: Path) -> None:
    shown = run(FACTFLOW, "adapters", "show", "redact", path=tmp_path)
    assert shown.returncode == 2
