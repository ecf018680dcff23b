"""What a configuration's patterns may take is bounded before it is taken, and in one way for checking and for running.

What memory is really taken is seen in a process of its own, whose address space is limited.
"""

import resource
import subprocess
import sys
from typing import Any

import pytest
import trio

from factflow_engine import ConfigurationError, OrchestratorManager, PipelineConfigLoader
from factflow_engine.config.canonical import to_yaml
from factflow_engine.errors import ConditionErrors

MIB = 1024 * 1024
FINDS = """
import resource, sys, time
from factflow_engine import PipelineConfigLoader, ValidatingAdapterRegistry
loader = PipelineConfigLoader(ValidatingAdapterRegistry())
loader.check_text('version: "1.0"\\nroutes: {a: {adapters: [{type: log}]}}')
text = sys.stdin.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()
found = loader.check_text(text).findings
print(time.process_time() - began)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
print(*(f"{finding.code} {finding.line} {finding.message}" for finding in found[:3]), sep="\\n")
"""


def outbounds(patterns: list[str]) -> dict[str, Any]:
    return {
        "version": "1.0",
        "routes": {
            "a": {
                "adapters": [{"type": "plain"}],
                "outbound": [
                    {"queue": f"/topic/q{index}", "condition": {"field": "a", "operator": "matches", "value": pattern}}
                    for index, pattern in enumerate(patterns)
                ],
            }
        },
    }


def in_routes(patterns: list[str]) -> dict[str, Any]:
    condition = [{"field": "a", "operator": "matches", "value": pattern} for pattern in patterns]
    return {
        "version": "1.0",
        "routes": {
            f"r{index}": {"adapters": [{"type": "plain", "condition": found}]} for index, found in enumerate(condition)
        },
    }


def in_adapters(patterns: list[str]) -> dict[str, Any]:
    condition = [{"field": "a", "operator": "matches", "value": pattern} for pattern in patterns]
    return {
        "version": "1.0",
        "routes": {
            f"r{index}": {"adapters": [{"type": "filter", "config": {"condition": found}}]}
            for index, found in enumerate(condition)
        },
    }


WIDE = [rf"\w{{1,60}}x{index}" for index in range(300)]
BOMBS: dict[str, dict[str, Any]] = {
    "letters in either case": outbounds(["(?i)" + r"\pL" * 100_000]),
    "letters in either case, as many as a pattern may have": outbounds(["(?i)" + r"\pL" * 21_000] * 2),
    "repetitions of repetitions": outbounds(["((a{100}){100}){100}", "b"]),
    "wide repetitions": outbounds([r"\w{1,1000}" * 1_000, "b"]),
    "a wide bracket": outbounds(["(?i)[" + "".join(map(chr, range(0x100, 0x5000, 2))) + r"\pL" * 5_000 + "]", "b"]),
    "open brackets": outbounds(["[" * 60_000, "b"]),
    "many alternatives": outbounds(["|".join(f"a{index}" for index in range(60_000))]),
    "one table": outbounds(WIDE),
    "many routes": in_routes(WIDE),
    "adapters of many routes": in_adapters(WIDE),
    "patterns that are each too large": in_routes([r"\w{1000}{1000}" + str(index) for index in range(2_000)]),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_patterns_are_refused_in_little_memory_and_time(bomb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FINDS],
        input=to_yaml(BOMBS[bomb]).replace("type: plain", "type: log"),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1_500 * MIB, 1_500 * MIB)),
    )
    assert done.returncode == 0, done.stderr
    seconds, mebibytes, *found = done.stdout.splitlines()
    assert int(mebibytes) < 200
    assert float(seconds) < 20  # it takes about one; what is meant is not minutes
    code, line, problem = found[0].split(" ", 2)
    assert code in {"E403", "E303"}
    assert int(line) > 1
    assert "MiB" in problem or "together" in problem or "longest allowed" in problem or "not valid" in problem


async def test_what_is_refused_by_a_run_is_refused_in_the_same_words_when_it_is_checked(
    loader: PipelineConfigLoader,
) -> None:
    document = outbounds(WIDE[:40])
    with pytest.raises(ConfigurationError) as refused:
        loader.load_mapping(document)
    # A host that goes on in spite of findings has the same answer from the run.
    lenient = PipelineConfigLoader(loader._registry, strict=False)
    config = lenient.load_mapping(document)
    async with OrchestratorManager(registry=loader._registry) as manager:
        with pytest.RaisesGroup(ConditionErrors, flatten_subgroups=True, allow_unwrapped=True) as started:
            await manager.start(config)
    error = started.value if isinstance(started.value, ConditionErrors) else started.value.exceptions[0]
    assert isinstance(error, ConditionErrors)
    said = [finding.problem for finding in error.findings]
    assert said == [finding.message for finding in refused.value.findings]
    (once,) = said  # for the first pattern that no longer fits, not for each after it
    assert once.endswith("take too much memory together")


async def test_many_ordinary_patterns_are_checked_and_run(loader: PipelineConfigLoader) -> None:
    patterns = [rf"^https://[a-z]+\.shop{index:05}\.example/.*\.html$" for index in range(800)]
    config = loader.load_mapping(outbounds(patterns))
    with trio.fail_after(120):
        async with OrchestratorManager(registry=loader._registry) as manager:
            execution = await manager.start(config)
            await execution.publish("a", {"a": "https://www.shop00007.example/x.html"})
            report = await execution.complete()
    assert report.outcomes["completed"] == 1
