"""A shop whose configuration is tested, and a way to run one test of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.testing.config_tests.reading import read_tests
from factflow_engine.testing.config_tests.running import TestResult, run_tests
from factflow_engine.testing.config_tests.suites import Suite, open_suite

SHOP = """\
version: "1.0"
routes:
  orders:
    inbound: {concurrency: 2}
    adapters: [{name: price, type: acme.price}]
    outbound:
      - {route: letters, condition: {field: total, operator: gt, value: 10}}
      - {queue: /queue/small, external: true}
    outbound_mode: first
  letters:
    adapters:
      - {name: send, type: http_request, config: {url: "https://example.org/", method: POST}}
      - {type: set_fields, config: {fields: {sent: true}}, condition: {field: total, operator: lt, value: 1000}}
    outbound: [{queue: /queue/sent, external: true}]
    error_handling: {max_retries: 1, retry_delay_seconds: 1, dead_letter_queue: /queue/dead}
init_message: {route: orders, payload: {pieces: 3}}
"""

STAGES = """\
stages:
  orders/price:
    cases:
      - {input: {pieces: 1}, returns: {total: 4}}
      - {when: {field: pieces, operator: gt, value: 100}, returns: {total: 4000}}
      - {input: {pieces: 13}, raises: {type: ValueError, text: unlucky}}
    returns: {total: 20}
  letters/send: {forwards: true, times: 2}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Callable[..., Suite]:
    """Open a test file beside a pipeline."""

    def opened(tests: str, pipeline: str = SHOP, registry: ValidatingAdapterRegistry | None = None) -> Suite:
        (tmp_path / "shop.yaml").write_text(pipeline, encoding="utf-8")
        file = tmp_path / "shop.test.yaml"
        file.write_text(tests, encoding="utf-8")
        return open_suite(read_tests(file), registry or ValidatingAdapterRegistry())

    return opened


@pytest.fixture
def run(suite: Callable[..., Suite]) -> Callable[..., TestResult]:
    """Run one test of the shop: its inputs, and the lines under `expect`."""

    def result(
        expect: str, *, inputs: str = "[{route: orders, payload: {pieces: 1}}]", more: str = "", stages: str = STAGES
    ) -> TestResult:
        lines = "".join(f"      {line}\n" for line in expect.splitlines()) or ""
        under = f"    expect:\n{lines}" if lines else "    expect: {}\n"
        own = "".join(f"    {line}\n" for line in more.splitlines())
        text = f"{stages}tests:\n  - name: it\n    inputs: {inputs}\n{own}{under}"
        [one] = run_tests(suite(text))
        return one

    return result
