"""Each suite lists every check of its module, in order: one that is not listed would never run."""

import inspect

import pytest

from factflow_engine.testing import (
    ADAPTER_CHECKS,
    ADMINISTRATION_CHECKS,
    DURABLE_QUEUE_CHECKS,
    DURABLE_STORAGE_CHECKS,
    LINEAGE_CHECKS,
    ORDER_CHECKS,
    QUEUE_CHECKS,
    START_CHECKS,
    STATE_CHECKS,
    STATEFUL_ADAPTER_CHECKS,
    STORAGE_CHECKS,
    TRANSACTION_CHECKS,
)
from factflow_engine.testing.conformance import (
    adapters,
    administration,
    durable,
    lineage,
    order,
    queues,
    starts,
    stateful,
    states,
    storage,
    transactions,
)

SUITES = [
    (adapters, ADAPTER_CHECKS),
    (administration, ADMINISTRATION_CHECKS),
    (durable, DURABLE_QUEUE_CHECKS),
    (lineage, LINEAGE_CHECKS),
    (order, ORDER_CHECKS),
    (queues, QUEUE_CHECKS),
    (starts, START_CHECKS),
    (stateful, STATEFUL_ADAPTER_CHECKS),
    (states, STATE_CHECKS),
    (storage, STORAGE_CHECKS + DURABLE_STORAGE_CHECKS),
    (transactions, TRANSACTION_CHECKS),
]


@pytest.mark.parametrize(("module", "listed"), SUITES, ids=[module.__name__.rpartition(".")[2] for module, _ in SUITES])
def test_every_check_is_listed(module, listed):
    found = [
        each
        for each in vars(module).values()
        if inspect.iscoroutinefunction(each)
        and not each.__name__.startswith("_")
        and each.__module__ == module.__name__
    ]
    assert found == list(listed)


def test_no_two_checks_have_one_name():
    for kind in (SUITES[0][1] + SUITES[7][1], sum((suite for _, suite in SUITES), ())):
        names = [check.__name__ for check in kind]
        assert len(names) == len(set(names))
