"""The tests of the example's pipeline pass, under several seeds, and reach everything."""

from pathlib import Path

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.testing.config_tests.coverage import Coverage, percent
from factflow_engine.testing.config_tests.files import find_test_files
from factflow_engine.testing.config_tests.reading import read_tests
from factflow_engine.testing.config_tests.running import run_tests
from factflow_engine.testing.config_tests.suites import open_suite

PIPELINE = Path(__file__).parents[2] / "examples" / "stdlib_index" / "pipeline.yaml"


def test_the_tests_of_the_example_pass_and_reach_everything() -> None:
    [file] = find_test_files([PIPELINE])
    suite = open_suite(read_tests(file), ValidatingAdapterRegistry())  # its adapters are not installed
    results = list(run_tests(suite, seeds=3))
    assert len(results) == 9
    assert [result.text() for result in results if not result.passed] == []
    coverage = Coverage(suite.config, str(PIPELINE))
    coverage.add(suite)
    assert percent(coverage.counts()) == 100
