"""`factflow test`: what it finds, prints, writes, and its exit status."""

import json
import shlex
from xml.etree import ElementTree as ET

import pytest

from factflow_engine.cli.config_validate import files_below
from factflow_engine.testing.config_tests.files import SUFFIXES, NoTestsError, find_test_files

PIPELINE = """\
version: "1.0"
routes:
  orders:
    adapters: [{name: price, type: acme.price}]
    outbound_mode: first
    outbound:
      - {route: large, condition: {field: total, operator: gt, value: 10}}
      - {queue: /queue/small, external: true}
  large: {adapters: [{type: log}]}
"""
TESTS = """\
stages: {orders/price: {forwards: true}}
tests:
  - name: small orders
    inputs: [{route: orders, payload: {total: 4}}]
    expect: {outputs: {/queue/small: [{total: 4}]}}
  - name: large orders
    seed: 5
    inputs: [{route: orders, payload: {total: 40}}]
    expect: {outcomes: {large: {completed: 1}}}
"""
WRONG = TESTS.replace("[{total: 4}]", "[{total: 5}]")


@pytest.fixture
def shop(pipeline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def written(tests: str = TESTS, name: str = "shop.test.yaml") -> None:
        pipeline(PIPELINE, "shop.yaml")
        pipeline(tests, name)

    return written


def test_it_prints_a_line_for_each_test(factflow, shop) -> None:
    shop()
    said = factflow("test", "shop.yaml")
    assert (said.status, said.err) == (0, "")
    assert said.out == (
        "PASS  shop.test.yaml: small orders  (0 s)\nPASS  shop.test.yaml: large orders  (0 s)\n2 tests: 2 passed, 0 failed\n"
    )


def test_a_failure_has_a_diff_and_the_line_that_does_it_again(factflow, shop) -> None:
    shop(WRONG)
    said = factflow("test", "shop.test.yaml")
    assert said.status == 1
    assert (
        said.out
        == """\
FAIL  shop.test.yaml: small orders  (0 s)
      outputs of /queue/small
      --- expected
      +++ actual
      @@ -1 +1 @@
      -- total: 5
      +- total: 4
      again: factflow test shop.test.yaml --only 'small orders' --seed 0
PASS  shop.test.yaml: large orders  (0 s)
2 tests: 1 passed, 1 failed
"""
    )
    again = next(line for line in said.out.splitlines() if "again: " in line).partition("again: ")[2]
    once_more = factflow(*shlex.split(again)[1:])
    assert once_more.status == 1
    assert "1 test: 0 passed, 1 failed" in once_more.out


def test_the_trace_is_printed_if_asked_for(factflow, shop) -> None:
    shop()
    said = factflow("test", "shop.yaml", "--trace", "--only", "large orders")
    assert "orders/price             1         completed" in said.out
    assert "= completed     to large" in said.out
    assert "> ended" not in factflow("test", "shop.yaml").out


def test_only_takes_a_name_or_a_part_of_names(factflow, shop) -> None:
    shop()
    assert "1 test: 1 passed" in factflow("test", "shop.yaml", "--only", "small orders").out
    assert "2 tests: 2 passed" in factflow("test", "shop.yaml", "--only", "orders").out
    said = factflow("test", "shop.yaml", "--only", "other")
    assert said.status == 2
    assert "no test has this in its name" in said.err


def test_seeds_all_have_to_pass(factflow, shop) -> None:
    shop()
    said = factflow("test", "shop.yaml", "--seeds", "3")
    assert said.out.endswith("(3 seeds)\n2 tests under 6 seeds in all: 2 passed, 0 failed\n")
    shop(WRONG)
    said = factflow("test", "shop.yaml", "--seeds", "3", "--seed", "7")
    assert "(3 of 3 seeds)" in said.out
    assert "--seed 7\n" in said.out


def test_jobs_share_the_tests(factflow, shop) -> None:
    shop(WRONG)
    alone, shared = (factflow("test", "shop.yaml", "--seeds", "2", *more) for more in ((), ("--jobs", "2")))
    assert (shared.status, shared.out) == (alone.status, alone.out) == (1, alone.out)
    said = factflow("test", "shop.yaml", "--share", "x")
    assert said.status == 2


def test_the_document_has_every_result(factflow, shop) -> None:
    shop(WRONG)
    said = factflow("test", "shop.yaml", "--output", "json", "--coverage")
    assert said.status == 1
    assert said.document["passed"] is False
    assert said.document["exit_status"] == 1
    assert [(each["name"], each["verdict"], each["seed"]) for each in said.document["results"]] == [
        ("small orders", "fail", 0),
        ("large orders", "pass", 5),
    ]
    [problem] = said.document["results"][0]["problems"]
    assert problem == {
        "what": "outputs of /queue/small", "expected": "- total: 5\n", "actual": "- total: 4\n",
        "diff": "--- expected\n+++ actual\n@@ -1 +1 @@\n-- total: 5\n+- total: 4",
    }  # fmt: skip
    assert said.document["coverage"]["percent"] == 100


def test_junit_and_coverage_are_written(factflow, shop, tmp_path) -> None:
    shop()
    said = factflow("test", "shop.yaml", "--junit", "out.xml", "--coverage-json", "out.json")
    assert said.status == 0
    assert ET.parse(tmp_path / "out.xml").getroot().get("tests") == "2"
    assert json.loads((tmp_path / "out.json").read_text())["percent"] == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "out.xml", "shop.test.yaml", "shop.yaml"]
    said = factflow("test", "shop.yaml", "--junit", "nowhere/out.xml")
    assert said.status == 2
    assert "--junit nowhere/out.xml: cannot be written: No such file or directory" in said.err


def test_the_coverage_is_a_table_and_what_is_missed(factflow, shop) -> None:
    shop()
    said = factflow("test", "shop.yaml", "--coverage", "--only", "small orders", "--fail-under", "90")
    assert said.status == 1
    table = said.out.partition("1 test: 1 passed, 0 failed\n")[2]
    assert [line.split() for line in table.splitlines()[:2]] == [
        ["pipeline", "routes", "outbounds", "stage", "conditions", "comparisons", "covered"],
        ["shop.yaml", "1/2", "2/3", "0/0", "1/2", "57.1", "%"],
    ]
    assert table.splitlines()[2:] == [
        "shop.yaml:7: routes.orders.outbound[0]: never taken: orders -> large",
        "shop.yaml:7: routes.orders.outbound[0].condition: never true: total gt 10",
        "shop.yaml:9: routes.large: never reached: large",
    ]
    assert said.err == "factflow: 57.1 % is covered, which is less than --fail-under 90\n"
    assert factflow("test", "shop.yaml", "--fail-under", "100").status == 0


def test_findings_have_their_line_underlined(factflow, shop) -> None:
    shop(TESTS.replace("seed: 5", "sede: 5"))
    said = factflow("test", "shop.yaml")
    assert said.status == 2
    assert said.err == (
        "shop.test.yaml:7:5: T101 there is no field 'sede' here (tests[1].sede)\n"
        "    7 |     sede: 5\n      |     ^^^^\n    write 'seed'\n"
        "factflow: shop.test.yaml cannot be run: 1 error\n"
    )
    document = factflow("test", "shop.yaml", "--output", "json").document
    assert document["status"] == "invalid"
    assert [finding["code"] for finding in document["findings"]] == ["T101"]


def test_an_adapter_that_is_not_installed_has_to_be_stubbed(factflow, shop, pipeline) -> None:
    shop(TESTS.partition("\n")[2])
    said = factflow("test", "shop.yaml")
    assert said.status == 2
    assert "T111 adapter type 'acme.price' of stage 'orders/price' is not installed" in said.err
    pipeline(
        "from factflow_engine import AdapterResult, PipelineAdapter\n"
        "class Price(PipelineAdapter):\n    adapter_type = 'acme.price'\n"
        "    async def process(self, context):\n        return AdapterResult.forward()\n",
        "acme.py",
    )
    assert factflow("test", "shop.yaml", "-a", "acme.py").status == 0


def test_files_are_found(tmp_path, factflow, shop, pipeline) -> None:
    shop()
    pipeline(TESTS, "below/shop_test.yml")
    pipeline(PIPELINE, "below/shop.yml")
    pipeline(PIPELINE, "below/load_test.yaml")
    pipeline(TESTS, ".hidden/x.test.yaml")
    pipeline(f"pipeline: shop.yaml\n{TESTS}", "named.yaml")
    found = [str(path.relative_to(tmp_path)) for path in find_test_files([tmp_path, tmp_path / "shop.yaml"])]
    assert found == ["shop.test.yaml", "below/shop_test.yml"]
    assert find_test_files([tmp_path / "named.yaml"]) == [tmp_path / "named.yaml"]
    assert factflow("test", tmp_path, "named.yaml").status == 0
    for path, text in (
        ("below/load_test.yaml", "write them to .*load_test.test.yaml"),
        ("none", "which does not exist"),
        (".hidden/..", None),
    ):
        if text is not None:
            with pytest.raises(NoTestsError, match=text):
                find_test_files([tmp_path / path])
    (tmp_path / "empty").mkdir()
    said = factflow("test", "empty")
    assert (said.status, said.err) == (
        2,
        f"factflow: expected tests below empty, got none; their names end with {' or '.join(SUFFIXES)}\n",
    )


def test_a_folder_of_configurations_may_have_tests_in_it(tmp_path, factflow, shop, pipeline) -> None:
    shop(TESTS.replace("acme.price", "log"))
    pipeline(PIPELINE.replace("acme.price", "log"), "shop.yaml")
    pipeline(PIPELINE.replace("acme.price", "log"), "load_test.yaml")
    found, unread = files_below(tmp_path)
    assert ([path.name for path in found], unread) == (["load_test.yaml", "shop.yaml"], [])
    assert factflow("config", "validate", tmp_path).status == 0
