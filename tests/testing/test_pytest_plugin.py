"""The plugin for pytest, in runs of pytest of its own: fixtures, the reproducing line, and its cost when it is not used."""

import json
import re
import subprocess
import sys
import tomllib

import pytest

from factflow_engine import pytest_plugin
from support.doc_pages import ROOT

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester, monkeypatch):
    """A run of pytest with the plugin as the entry point would load it, whatever is installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def started(source, *arguments, plugin=True):
        pytester.makepyfile(source)
        named = ["-p", pytest_plugin.__name__] if plugin else []
        return pytester.runpytest_subprocess("-W", "error", *named, *arguments)

    return started


def test_the_entry_point_names_the_plugin():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"] == {"pytest11": {"factflow": pytest_plugin.__name__}}
    assert not [each for each in project["dependencies"] if each.startswith("pytest")]


FIXTURES = """
    import trio
    from factflow_engine import OrchestratorManager, PipelineConfigLoader
    from factflow_engine.testing import in_virtual_time
    from factflow_protocols import AdapterResult

    TEXT = '{version: "1.0", routes: {a: {adapters: [{type: shout}], outbound: [{queue: /queue/loud}]}}}'

    def shout(context):
        return AdapterResult(message=context.message.upper())

    def test_an_adapter(run_adapter):
        assert run_adapter(shout, "a").output == "A"

    def test_a_pipeline(validating_registry, recording_queue, recording_storage, assert_outcomes):
        registry = validating_registry(shout)
        config = PipelineConfigLoader(registry).load_text(TEXT)

        async def main(simulation):
            async with OrchestratorManager(
                registry=registry, queue=recording_queue, storage=recording_storage, seams=simulation.seams
            ) as manager:
                execution = await manager.start(config)
                await execution.publish("a", "x")
                return await execution.complete()

        assert_outcomes(in_virtual_time(main, seed=1), completed=1)
        assert recording_queue.messages("/queue/loud") == ["X"]

    def test_recorders_are_new(recording_queue, recording_storage):
        assert recording_queue.records == recording_storage.records == []

    def test_a_simulation(simulate, validating_registry):
        report = simulate(TEXT + chr(10), registry=validating_registry(shout), inputs={"a": ["x"]})
        assert report.payloads("/queue/loud") == ["X"]
"""


@pytest.mark.parametrize("arguments", [(), ("-p", "xdist.plugin", "-n", "1")])
def test_the_fixtures_are_those_of_the_kit(run, arguments):
    run(FIXTURES, *arguments).assert_outcomes(passed=4)


FAILURES = """
    import pytest
    from factflow_engine.testing.simulation import reproducers

    class SimulatedError(Exception):
        reproducer = "simulate('error')"

    def test_a_noted():
        reproducers.note("simulate('noted')")
        assert False

    def test_b_not_noted():
        assert False

    def test_c_raised():
        reproducers.note("simulate('other')")
        raise ExceptionGroup("group", [SimulatedError()])

    def test_d_cause():
        try:
            raise SimulatedError
        except SimulatedError as error:
            raise ValueError from error

    def test_e_many():
        for number in range(7):
            reproducers.note(f"simulate({number})")
        assert False

    def test_f_passes():
        reproducers.note("simulate('passed')")

    @pytest.fixture
    def broken():
        yield
        reproducers.note("simulate('teardown')")
        assert False

    def test_g_teardown(broken):
        pass

    def test_h_skipped():
        reproducers.note("simulate('skipped')")
        pytest.skip()
"""


def sections(text):
    """Return the lines below each title of the plugin, by the test whose failure they are of."""
    parts = re.split(r"^_+ (?:ERROR at teardown of )?(test_\w+) _+$", text, flags=re.MULTILINE)
    found = {}
    for name, part in zip(parts[1::2], parts[2::2], strict=True):
        [lines] = re.findall(r"^-+ factflow: to reproduce -+\n((?:(?:simulate|and ).*\n)+)", part, re.MULTILINE) or [""]
        found[name] = lines.splitlines()
    return found


@pytest.mark.parametrize("arguments", [(), ("-p", "xdist.plugin", "-n", "1")])
def test_a_failed_test_shows_the_lines_that_reproduce_it_and_no_others(run, arguments):
    result = run(FAILURES, *arguments)
    result.assert_outcomes(failed=5, passed=2, errors=1, skipped=1)
    assert sections(result.stdout.str()) == {
        "test_a_noted": ["simulate('noted')"],
        "test_b_not_noted": [],
        "test_c_raised": ["simulate('error')"],
        "test_d_cause": ["simulate('error')"],
        "test_e_many": [*(f"simulate({number})" for number in range(2, 7)), "and 2 before"],
        "test_g_teardown": ["simulate('teardown')"],
    }


def test_without_the_plugin_there_are_neither_lines_nor_fixtures(run):
    result = run(FAILURES, plugin=False)
    assert "factflow: to reproduce" not in result.stdout.str()
    result = run("def test_a(run_adapter): pass", plugin=False)
    result.assert_outcomes(errors=1)


def test_a_run_that_does_not_use_the_kit_imports_none_of_it(run, pytester):
    """Each run of pytest, in whatever project, pays for what the plugin imports: it must be next to nothing."""
    source = """
        import json, pathlib, sys

        def test_nothing():
            pathlib.Path("modules.json").write_text(json.dumps(sorted(sys.modules)))
    """
    run(source).assert_outcomes(passed=1)
    imported = set(json.loads((pytester.path / "modules.json").read_text()))
    ours = {name for name in imported if name.startswith("factflow")}
    assert ours == {"factflow_engine", "factflow_engine.names", "factflow_engine.pytest_plugin"}
    assert not imported & {"trio", "pydantic", "hypothesis", "ruamel.yaml"}


def test_the_package_does_not_need_pytest():
    program = (
        "import sys; sys.modules['pytest'] = None\n"
        "import factflow_engine.testing, factflow_engine.cli\n"
        "assert 'factflow_engine.pytest_plugin' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
