"""Any bytes as a configuration: a configuration, or findings with known codes and places inside the text."""

# ruff: noqa: PT017 - a check is no test, and looks at errors as they come

import tracemalloc
import zlib
from pathlib import Path

from config.conftest import ENVIRONMENT, make_loader
from config.test_mutations import VALID
from factflow_engine.config import CATALOGUE, ConfigurationError
from factflow_engine.config.canonical import to_yaml
from fuzz.campaign import Target

LOADER = make_loader(ENVIRONMENT)
MOST_MEMORY = 60_000_000
MEASURED, REPEATED = 64, 8
"""One input in so many is loaded again: with its memory measured, which takes several times as long; by `load_text`."""

ROOT = Path(__file__).parents[2]
SMALL = b"version: '1.0'\nroutes: {a: {adapters: [{type: plain}]}}\n"
FEATURES = b"""\
version: "1.0"
name: &name every feature
x-base: &base {type: probe, config: {url: "http://${HOST}:${PORT:-80}/", secret: "${TOKEN}", ratio: 0.5, tags: [a, b]}}
routes:
  one:
    inbound: {queue: /queue/one.in, concurrency: 4, prefetch: 8}
    adapters:
      - *base
      - type: plain
        name: second
        condition:
          all_of:
            - {field: a.b, operator: matches, value: "^x+$"}
            - not: {field: n, operator: in, value: [1, "x", 2.5, null]}
            - any_element: {field: items, condition: {field: "@", operator: divisible_by, value: 3}}
        timeout_seconds: 3
        circuit_breaker: {minimum_calls: 5, failure_rate_threshold: 50.0}
      - type: keeps
    outbound:
      - {route: two, condition: {field: at, operator: gt, value: {$timestamp: "2026-01-31T12:00:00Z"}}}
      - {queue: /topic/out}
    outbound_mode: first
    error_handling: {max_retries: 3, dead_letter_queue: /queue/dlq, retry_on: [OSError]}
    backpressure: {algorithm: fixed, min_concurrency: 1, max_concurrency: 9}
  two:
    description: >-
      folded
      text
    adapters: [{type: other, store: {key: "a/${EMPTY}"}}]
init_message:
  - {route: one, payload: {a: {b: xx}, n: 0x1F, t: ~, big: 18446744073709551615, f: .inf}}
orchestrator: {max_failed_messages: 3}
storage: {url: "memory://"}
lineage: {sample_rate: 0.5}
"""
SEEDS = [
    SMALL,
    to_yaml(VALID).encode(),
    FEATURES,
    FEATURES.replace(b"x-base: &base {", b"init_message: []\nlineage: &base {"),
    b"\xef\xbb\xbf" + SMALL,
    b"a: &a [*a]\n",
    b"%YAML 1.2\n---\n" + SMALL + b"...\n---\n" + SMALL,
    *(file.read_bytes() for file in sorted(ROOT.glob("examples/*/pipeline.yaml"))),
]
WORDS = [
    *(
        b"&a ",
        b"*a",
        b"*name",
        b"*base",
        b"<<: *base\n",
        b"<<: [*base, *base]",
        b"!!str ",
        b"!!python/object:os.system ",
        b"!<x> ",
    ),
    *(
        b"${",
        b"}",
        b"${PORT}",
        b"${NOT_THERE}",
        b"${HOST:-x}",
        b"$${",
        b"${LARGE}",
        b"${TOKEN}",
        b"${SHORT_KEY}",
        b"${TOKEN_PORT}",
    ),
    *(
        b"\t",
        b"\r",
        b"\r\n",
        b"\xc2\x85",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x98\x80",
        b"\0",
    ),
    *(
        b"? ",
        b": ",
        b"- ",
        b"[",
        b"]",
        b"{",
        b"}",
        b", ",
        b"|\n",
        b">-\n",
        b"'",
        b'"',
        b"#",
        b"---\n",
        b"...\n",
        b"%YAML 1.1\n",
    ),
    *(
        b"[" * 200,
        b"{a: " * 200,
        b"- " * 200,
        b"x" * 4_000,
        b"9" * 5_000,
        b"1e999",
        b".nan",
        b"-.inf",
        b"0o17",
        b"0x" + b"f" * 40,
    ),
    *(
        b"~",
        b"null",
        b"true",
        b"no",
        b"1.0",
        b"'1.0'",
        b"1" + b"0" * 30,
        b"-1",
        b"\\u0000",
        b'"\\ud800"',
        b'"\\U00110000"',
    ),
    *(
        b"routes: ",
        b"adapters: ",
        b"type: ",
        b"config: ",
        b"condition: ",
        b"operator: ",
        b"value: ",
        b"field: ",
        b"all_of: ",
    ),
    *(
        b"outbound: ",
        b"route: ",
        b"queue: ",
        b"error_handling: ",
        b"backpressure: ",
        b"algorithm: ",
        b"storage: ",
        b"lineage: ",
    ),
    *(
        b"matches",
        b"(a+)+$",
        b"x{1000}{1000}",
        b"divisible_by",
        b"length",
        b"{gte: 1}",
        b"$bin",
        b"type: call",
        b"function: os:x",
    ),
]


def check(data):
    try:
        text = data.decode(errors="surrogatepass") if data.startswith(b" ") else data
    except UnicodeDecodeError:
        text = data
    if zlib.crc32(data) % MEASURED == 0:
        tracemalloc.start()
        try:
            LOADER.check_text(text)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < MOST_MEMORY, f"{peak} bytes were held"
    result = LOADER.check_text(text)
    check_places(result.findings, text)
    rendered = result.render()
    assert ENVIRONMENT["TOKEN"] not in rendered, "a value of the environment is shown"
    codes = tuple(sorted({finding.code for finding in result.findings}))
    if not result.is_valid and zlib.crc32(data) % REPEATED:
        return codes
    try:
        config = LOADER.load_text(text)
    except ConfigurationError as error:
        assert not result.is_valid
        assert error.findings == result.findings
        assert result.errors
        assert str(error)
        return codes
    assert result.is_valid
    assert config == result.config
    again = LOADER.load_text(config.to_yaml())
    assert again == config
    assert again.hash == config.hash
    return codes, len(config.routes)


def check_places(findings, text):
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    lines = shown.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for finding in findings:
        assert finding.code in CATALOGUE
        assert 1 <= finding.line <= len(lines), finding
        assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1, finding
        assert str(finding)


TARGET = Target(name="loader", check=check, seeds=SEEDS, words=WORDS)
