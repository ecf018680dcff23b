"""Many seeds, with faults, on every queue: each twice, and under another PYTHONHASHSEED, with the same digests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from factflow_engine.testing.simulation import FaultRates, Input, Lognormal, StageModel
from factflow_engine.testing.simulation.loading import load_for_simulation
from factflow_engine.testing.simulation.run import play
from factflow_engine.testing.simulation.settings import RunSettings
from factflow_protocols import AdapterResult
from support.pipelines import registry_of
from testing.test_simulate import SHOP, price

OF_STAGES = {"fail_stage": 0.1, "slow_stage": 0.1}
OF_PROCESSES = {**OF_STAGES, "crash_seconds": 4, "cancel_seconds": 8}
OF_BROKERS = {**OF_PROCESSES, "duplicate": 0.1, "delay": 0.1, "reorder": 0.1, "drop_delivery": 0.1, "lose_lease": 0.1}
WORLDS = (
    ("memory://", 1, OF_STAGES),
    ("broker://", 2, OF_BROKERS),
    ("broker://", 3, OF_PROCESSES),
    ("memory://", 1, {}),
    ("sqlite://", 2, OF_PROCESSES),
)
"""Queue, number of processes and rates of faults, by the seed."""
MODELS = (StageModel(stage="letters/send", time=Lognormal(median=1), errors=0.2),)


async def unordered(context):
    await price(context)
    return AdapterResult(message={"total": 12, "tags": list({"one", "two", "three", "four"})})


def digest(seed: int, adapter=price) -> str:
    """Return the digest of a run, with hashes of payloads."""
    queue, processes, rates = WORLDS[seed % len(WORLDS)]
    config, registry = load_for_simulation(SHOP, registry_of(price=adapter), MODELS)
    settings = RunSettings(
        config=config,
        registry=registry,
        models=MODELS,
        inputs=tuple(Input("orders", {"pieces": n}, key=str(n % 2), at=n / 2) for n in range(5)),
        faults=(FaultRates(until=8, **rates),) if rates else (),
        seed=seed,
        queue=queue,
        processes=processes,
        hashes=True,
    )
    return play(settings).trace.digest()


PROGRAM = """
import sys
sys.path.insert(0, "tests")
from testing.test_determinism_campaign import digest, price, unordered
for seed in range({first}, {last}):
    print(digest(seed, {adapter}))
"""


@contextmanager
def elsewhere(
    first: int, last: int, adapter: str = "price", hash_seed: str = "4242"
) -> Iterator[subprocess.Popen[str]]:
    """Run a process with another hash seed, which prints the digests that it finds."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(first=first, last=last, adapter=adapter)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def check_seeds(first: int, last: int) -> set[str]:
    with elsewhere(first, last) as other:
        digests = [digest(seed) for seed in range(first, last)]
        assert [digest(seed) for seed in range(first, last)] == digests
        said, _ = other.communicate()
        assert said.split() == digests
    return set(digests)


def test_some_seeds_twice_and_under_another_hash_seed():
    assert len(check_seeds(0, 20)) == 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", range(0, 1000, 250))
def test_a_thousand_seeds_twice_and_under_another_hash_seed(first):
    check_seeds(first, first + 250)


def test_the_order_of_a_set_of_texts_is_noticed():
    found = set()
    for hash_seed in ("1", "2", "3"):
        with elsewhere(0, 1, "unordered", hash_seed) as other:
            said, _ = other.communicate()
            assert len(said.split()) == 1
            found.add(said)
    assert len(found) > 1
