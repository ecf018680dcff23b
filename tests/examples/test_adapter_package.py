"""The example of a package of adapters is built, installed and tested as its author would, beside the engine."""

import re
from pathlib import Path

import pytest

from support.example_packages import EXAMPLES, Installed, install

README = (EXAMPLES / "adapter_package" / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install("adapter_package", tmp_path_factory.mktemp("site"))


def test_the_packages_own_tests_pass_on_what_was_installed(installed: Installed) -> None:
    ran = installed.own_tests()
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout


def test_the_command_finds_the_adapter_of_an_installed_package(installed: Installed) -> None:
    listed = installed.factflow("adapters", "show", "redact")
    assert listed.returncode == 0, listed.stderr
    assert "Mask e-mail addresses" in listed.stdout


def test_the_packages_pipeline_does_what_its_readme_shows(installed: Installed) -> None:
    [command] = re.findall(r"^echo '(.*)' \| factflow run pipeline.yaml$", README, flags=re.MULTILINE)
    [shown] = re.findall(r"^# (\{.*\})$", README, flags=re.MULTILINE)
    ran = installed.factflow("run", "pipeline.yaml", input=f"{command}\n")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"{shown}\n"


def test_without_the_package_nobody_knows_the_adapter(installed: Installed, tmp_path: Path) -> None:
    assert Installed(installed.example, tmp_path).factflow("adapters", "show", "redact").returncode == 2
