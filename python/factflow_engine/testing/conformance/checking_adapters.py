"""Run of all checks that apply to an adapter, for its author.

Kept separate from the checks because only a run decides which of them apply, from the class and what its author says.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from factflow_engine.adapters.class_checks import is_sync
from factflow_engine.adapters.keeping import flushes, keeps_anything, snapshots
from factflow_engine.adapters.registry import ValidatingAdapterRegistry
from factflow_engine.testing.conformance.adapters import (
    ADAPTER_CHECKS,
    AdapterCheck,
    after_a_cancelled_call_the_next_one_works,
    it_does_not_block_the_event_loop,
    it_lets_cancellation_through,
    it_reads_neither_clocks_nor_chance,
    its_class_and_configuration_are_usable,
    messages_do_not_disturb_each_other,
    the_same_message_gives_the_same_again,
)
from factflow_engine.testing.conformance.expectations import check_name
from factflow_engine.testing.conformance.report import ConformanceReport
from factflow_engine.testing.conformance.running import PlannedCheck, how_to_run, run_planned
from factflow_engine.testing.conformance.stateful import STATEFUL_ADAPTER_CHECKS, its_state_survives_a_restart
from factflow_engine.testing.conformance.trials import Trial, contexts_of
from factflow_protocols import PipelineAdapter, StatefulAdapter

_NAME: Final = "adapter_under_test"
_COMPARING: Final = frozenset(
    {
        the_same_message_gives_the_same_again,
        messages_do_not_disturb_each_other,
        after_a_cancelled_call_the_next_one_works,
        it_reads_neither_clocks_nor_chance,
        its_state_survives_a_restart,
    }
)
_STATELESS: Final = frozenset({the_same_message_gives_the_same_again, messages_do_not_disturb_each_other})
_ASYNC: Final = frozenset(
    {
        it_lets_cancellation_through,
        after_a_cancelled_call_the_next_one_works,
        it_does_not_block_the_event_loop,
    }
)


def check_adapter(
    adapter: str | type[PipelineAdapter] | Callable[[], PipelineAdapter],
    *,
    messages: Iterable[Any],
    config: Mapping[str, Any] | None = None,
    registry: ValidatingAdapterRegistry | None = None,
    deterministic: bool = True,
    longest_step_seconds: float = 0.1,
    only: str | Iterable[str] = (),
    virtual: bool = False,
    seed: int = 0,
    seconds: float = 60.0,
) -> ConformanceReport:
    """Run every check that applies to an adapter, with messages that it understands. Call it outside of trio.

    Cancellation at each checkpoint, messages at the same time, repeats, restarts: whatever an execution may do to it.
    Each check makes instances of its own, in an empty folder.

    Args:
        adapter: Its class; or a type of the registry; or a function that makes one, such as with a fake client.
        messages: Message values, or contexts (`FakeContext`) for headers and keys. Give several different ones.
        config: Configuration, as in a pipeline; only for a class or a type.
        registry: Registry for a type; the built-in types by default.
        deterministic: False if equal messages may give different answers; nothing is compared then.
        longest_step_seconds: Longest time for which `async def process` may block the event loop.
        only: Names of the checks to run, one or several; all by default.
        virtual: True to run in virtual time, for an adapter that waits for trio alone, without threads and sockets.
        seed: Seed of the order in which tasks run in virtual time.
        seconds: Time limit of each check.

    Raises:
        ValueError: There is no message, `config` was given with a function, or `only` names no check.
        RuntimeError: Called inside a trio run.

    Example:
        report = check_adapter("set_fields", config={"fields": {"seen": True}}, messages=[{"n": 1}, {"n": 2}])
        report.raise_if_failed()
    """
    how = how_to_run(only=only, virtual=virtual, seed=seed, seconds=seconds)
    contexts = contexts_of(messages)
    if not contexts:
        raise ValueError("messages: expected at least one message that the adapter understands, got none")
    subject, make, register = _maker(adapter, config, registry)
    cls: type[PipelineAdapter] | None = None
    try:
        cls = type(make())
    except Exception as error:  # noqa: BLE001 - told by the check of the class
        register = partial(_raise, error)
    trial = Trial(
        make=make,
        register=register,
        messages=contexts,
        deterministic=deterministic,
        longest_step_seconds=longest_step_seconds,
        pause_seconds=seconds / 3 if virtual else 0.01,
        virtual=virtual,
    )
    checks = [
        PlannedCheck(name=check_name(check), body=partial(_run, check, trial), reason=_reason(check, cls, trial))
        for check in (*ADAPTER_CHECKS, *STATEFUL_ADAPTER_CHECKS)
    ]
    return run_planned(subject or getattr(cls, "__name__", "the adapter"), checks, how)


async def _run(check: AdapterCheck, trial: Trial, folder: Path) -> None:
    await check(trial, folder)


def _reason(check: AdapterCheck, cls: type[PipelineAdapter] | None, trial: Trial) -> str:
    """Return why a check does not apply; empty if it does."""
    if check is its_class_and_configuration_are_usable:
        return ""
    if cls is None:
        return "no instance can be made"
    if check in STATEFUL_ADAPTER_CHECKS and not issubclass(cls, StatefulAdapter):
        return f"{cls.__name__} is no StatefulAdapter"
    if check in _ASYNC and is_sync(cls):
        return "process is a plain function, which is called in a thread and never interrupted"
    if check in _COMPARING and not trial.deterministic:
        return "it was said to be deterministic=False"
    if check in _STATELESS and keeps_anything(cls):
        return "it keeps state across messages"
    if check is its_state_survives_a_restart and not (snapshots(cls) or flushes(cls)):
        return "it has neither snapshot() nor durable_batches"
    return ""


def _maker(
    adapter: str | type[PipelineAdapter] | Callable[[], PipelineAdapter],
    config: Mapping[str, Any] | None,
    registry: ValidatingAdapterRegistry | None,
) -> tuple[str, Callable[[], PipelineAdapter], Callable[[], None]]:
    """Return the subject's name, a maker of instances, and a check of the class."""
    if isinstance(adapter, str):
        known = registry or ValidatingAdapterRegistry()

        def register_type() -> None:
            spec = known.get(adapter)
            ValidatingAdapterRegistry.empty().register(_NAME, spec.adapter_class, config_model=spec.config_model)

        return adapter, partial(known.create, adapter, config), register_type
    if inspect.isclass(adapter):
        own = ValidatingAdapterRegistry.empty()
        cls = cast("type[PipelineAdapter]", adapter)

        def make_registered() -> PipelineAdapter:
            if _NAME not in own:
                own.register(_NAME, cls)
            return own.create(_NAME, config)

        return cls.__name__, make_registered, lambda: None
    if config is not None:
        raise ValueError("config: expected none beside a function that makes the adapter; give it to the adapter there")

    def register_class() -> None:
        ValidatingAdapterRegistry.empty().register(_NAME, type(adapter()))

    return "", adapter, register_class


def _raise(error: Exception) -> None:
    raise error
