"""The example of a package with a queue provider is built, installed and tested as its author would, beside the engine."""

import re
from pathlib import Path

import pytest

from support.example_packages import EXAMPLES, Installed, install

README = (EXAMPLES / "queue_package" / "README.md").read_text(encoding="utf-8")
URL = "loopback://"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install("queue_package", tmp_path_factory.mktemp("site"))


def test_the_packages_own_tests_pass_on_what_was_installed(installed: Installed) -> None:
    ran = installed.own_tests()
    assert ran.returncode == 0, ran.stdout
    assert int(re.findall(r"(\d+) passed", ran.stdout)[0]) == 4


def test_the_commands_of_its_readme_do_what_it_shows(installed: Installed) -> None:
    [validate] = re.findall(r"^factflow (config validate .*)$", README, flags=re.MULTILINE)
    [(line, run)] = re.findall(r"^echo '(.*)' \| factflow (run .*)$", README, flags=re.MULTILINE)
    [shown] = re.findall(r"^# (\w+)$", README.partition("```sh")[2], flags=re.MULTILINE)
    checked = installed.factflow(*validate.split())
    assert checked.returncode == 0, checked.stdout + checked.stderr
    ran = installed.factflow(*run.split(), input=f"{line}\n")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"{shown}\n"


@pytest.mark.parametrize("command", [("config", "validate"), ("run",)])
def test_the_provider_judges_names_also_those_of_the_environment(
    installed: Installed, tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = tmp_path / "loud.yaml"
    path.write_text(
        'version: "1.0"\nroutes:\n  a:\n    inbound: {queue: /queue/LOUD}\n    adapters: [{type: log}]\n'
        '    outbound: [{queue: "${NAME:/queue/Out}"}]\n',
        encoding="utf-8",
    )
    said = installed.factflow(*command, path, "--queue", URL)
    assert said.returncode == 2
    text = said.stdout + said.stderr
    assert f"{path}:4:22: E204 '/queue/LOUD' has upper-case letters" in text
    assert f"{path}:6:24: E204 '${{NAME:/queue/Out}}' from the environment is not a queue name of this provider" in text
    assert installed.factflow("config", "validate", path).returncode == 0, "the memory queue takes the names"


@pytest.mark.parametrize("command", [("queue", "stats", URL), ("dlq", "list", URL, "/queue/dead")])
def test_commands_on_what_is_stored_say_that_it_has_no_administration(
    installed: Installed, command: tuple[str, ...]
) -> None:
    said = installed.factflow(*command)
    assert (said.returncode, said.stdout) == (2, "")
    assert "its provider LoopbackQueue has no administration" in said.stderr


def test_a_misspelt_scheme_is_answered_with_the_packages_own(installed: Installed, tmp_path: Path) -> None:
    said = installed.factflow("queue", "stats", "lopback://")
    assert "did you mean loopback://? the schemes are loopback, memory, sqlite" in said.stderr
    said = Installed(installed.example, tmp_path).factflow("run", "pipeline.yaml", "--queue", URL)
    assert "no queue provider has the scheme 'loopback'; the schemes are memory, sqlite" in said.stderr
