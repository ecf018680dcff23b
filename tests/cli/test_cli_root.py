import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import click
import pytest

from factflow_engine.cli.lazy import LazyCommand, LazyGroup
from factflow_engine.cli.root import root


def _lazy_commands(group: LazyGroup, prefix: str = "") -> Iterator[tuple[str, LazyCommand, click.Command]]:
    for name, lazy in group.lazy_commands.items():
        command = lazy.load()
        yield f"{prefix}{name}", lazy, command
        if isinstance(command, LazyGroup):
            yield from _lazy_commands(command, f"{prefix}{name} ")


def test_help_lists_the_commands_and_shows_examples(factflow: Callable[..., Any]) -> None:
    said = factflow("--help")
    assert said.status == 0
    for word in ("run", "config", "graph", "adapters", "Examples:", "factflow run pipeline.yaml"):
        assert word in said.out


def test_every_command_has_help_and_the_summary_of_its_group() -> None:
    for name, lazy, command in _lazy_commands(root):
        assert command.short_help == lazy.summary, name
        assert command.help, name


def test_every_command_answers_to_help(factflow: Callable[..., Any]) -> None:
    for name, _, _ in _lazy_commands(root):
        assert factflow(*name.split(), "--help").status == 0, name


def test_the_version_is_the_packages(factflow: Callable[..., Any]) -> None:
    assert factflow("--version").out == f"factflow, version {version('factflow-engine')}\n"


def test_a_wrong_command_names_the_right_ones(factflow: Callable[..., Any]) -> None:
    said = factflow("rnu")
    assert said.status == 2
    assert "--help" in said.err


@pytest.mark.parametrize("output", [["-o", "json"], ["-ojson"], ["--output", "json"], ["--output=json"]], ids=" ".join)
@pytest.mark.parametrize("place", [0, 1])
def test_an_option_that_there_is_not_is_a_document_where_one_was_asked_for(
    factflow: Callable[..., Any], output: list[str], place: int
) -> None:
    wrong = ["--frmo", "x"]
    said = factflow("adapters", "list", *(wrong + output if place else output + wrong))
    assert said.status == 2
    assert said.document["status"] == "error"
    assert "No such option" in said.document["error"]
    assert "No such option" in said.err
    assert factflow("adapters", "list", "--frmo", "--", *output).out == ""


def test_help_loads_no_command() -> None:
    """Start-up is what a shell waits for: whatever the engine's own import costs, the command line adds click only."""
    program = (
        "import sys\n"
        "import factflow_engine\n"
        "before = set(sys.modules)\n"
        "import factflow_engine.cli as cli\n"
        "try:\n"
        "    cli.main()\n"
        "finally:\n"
        "    print(*sorted(set(sys.modules) - before), sep='\\n', file=sys.stderr)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0
    added = set(ran.stderr.split())
    assert "factflow_engine.cli.root" in added
    assert not added & {"rich", "factflow_engine.app", "factflow_engine.cli.run", "factflow_engine.cli.graph"}


@pytest.mark.parametrize("debug", [["--debug"], []])
def test_an_unexpected_error_is_one_line_and_a_traceback_only_if_asked_for(
    factflow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, debug: list[str]
) -> None:
    def explode(_: object) -> None:
        raise ZeroDivisionError("\x1b[31mhostile\nlines")

    monkeypatch.setattr("factflow_engine.cli.adapters_list.app_for", explode)
    said = factflow(*debug, "adapters", "list")
    assert said.status == 1
    assert "factflow: ZeroDivisionError: \\x1b[31mhostile" in said.err
    assert "\x1b" not in said.err
    assert ("Traceback" in said.err) is bool(debug)
    assert ("--debug shows where" in said.err) is not bool(debug)


def test_an_unexpected_error_is_a_document_where_one_was_promised(
    factflow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(_: object) -> None:
        raise ZeroDivisionError("no")

    monkeypatch.setattr("factflow_engine.cli.adapters_list.app_for", explode)
    said = factflow("adapters", "list", "--output", "json")
    assert said.status == 1
    assert said.document == {"status": "error", "error": "no", "error_type": "ZeroDivisionError"}


def test_an_interruption_outside_a_run_ends_quietly(
    factflow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("factflow_engine.cli.adapters_list.app_for", interrupt)
    said = factflow("adapters", "list")
    assert said.status == 130
    assert said.err.strip() == "factflow: interrupted"


def test_an_interruption_that_comes_in_a_group_ends_quietly(
    factflow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> None:
        raise BaseExceptionGroup("", [BaseExceptionGroup("", [KeyboardInterrupt()])])

    monkeypatch.setattr("factflow_engine.cli.adapters_list.app_for", interrupt)
    said = factflow("adapters", "list")
    assert (said.status, said.err.strip()) == (130, "factflow: interrupted")


def test_an_interruption_that_became_another_error_on_its_way_is_one_all_the_same(
    factflow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ValueError(f"could not be built: {error!r}") from None

    monkeypatch.setattr("factflow_engine.cli.adapters_list.app_for", interrupt)
    said = factflow("adapters", "list", "--output", "json")
    assert said.status == 130
    assert said.err.strip() == "factflow: interrupted"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
