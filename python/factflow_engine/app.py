"""Composition root: makes the objects of one engine and connects them.

The only module that chooses implementations; everything below is given its dependencies.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from factflow_engine.adapters import (
    DiscoveryProblem,
    ValidatingAdapterRegistry,
    auto_discover_and_register,
)
from factflow_engine.adapters.named_modules import search_named
from factflow_engine.config import Finding, PipelineConfigLoader, PipelineGlobalConfig, Severity
from factflow_engine.queues.naming import memory_queue_name_problem
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.execution.storage import needs_of
from factflow_engine.seams import AroundCall, CallRecords, Seams
from factflow_protocols import FactflowError, QueueProtocol


class AdapterModuleError(FactflowError):
    """Unusable adapter module: the operator must act, because a named module has no adapter that can be used.

    Attributes:
        module: Name of the module or file, as given.
        findings: What is wrong with it, with the place in the user's code where there is one.
    """

    def __init__(self, module: str, problems: Sequence[DiscoveryProblem]) -> None:
        self.module = module
        self.findings: Final = tuple(_finding(module, problem) for problem in problems)
        super().__init__(f"adapters of {module!r}: " + "; ".join(map(str, problems)))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUrls:
    """URLs of the stores of configurations that name none; None where there is none.

    Attributes:
        storage: The object store.
        lineage: The lineage store.
    """

    storage: str | None = None
    lineage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An engine that can load and run configurations.

    Attributes:
        registry: The registered adapter types.
        loader: Loader with this registry and the queue's naming rule.
        queue: Provider of the queues; None for one in memory for each manager.
        problems: Installed plug-ins that could not be used; reported, not fatal.
    """

    registry: ValidatingAdapterRegistry
    loader: PipelineConfigLoader
    queue: QueueProtocol | None
    problems: tuple[DiscoveryProblem, ...]

    def needs_storage(self, config: PipelineGlobalConfig) -> bool:
        """True if a stage stores something, and the configuration does not say where."""
        names_one = config.storage is not None and config.storage.url is not None
        return not names_one and any(needs_of(config, self.registry))

    def needs_lineage(self, config: PipelineGlobalConfig) -> bool:
        """True if the configuration records lineage, and does not say where."""
        section = config.lineage
        return section is not None and section.mode != "off" and section.url is None

    @asynccontextmanager
    async def manager(
        self,
        *,
        calls: CallRecords | None = None,
        stores: StoreUrls | None = None,
        around_call: AroundCall | None = None,
    ) -> AsyncIterator[OrchestratorManager]:
        """Open a manager of executions; stop the queue provider at the end, so that only one manager uses it.

        Args:
            calls: Taker of what the calls of adapters took.
            stores: Stores of configurations that name none; opened here, and closed at the end.
            around_call: Wrapper of the calls of stages; see `Seams`.

        Raises:
            StorageUrlError: The object store's URL cannot be read.
            LineageUrlError: The lineage store's URL cannot be read.
        """
        seams = Seams.real(calls=calls, around_call=around_call)
        async with AsyncExitStack() as stack:
            if self.queue is not None:
                stack.push_async_callback(self.queue.stop)
            storage = lineage = None
            if stores is not None and stores.storage is not None:
                # Imported late: most pipelines store nothing.
                from factflow_engine.storages.providers import open_storage  # noqa: PLC0415

                storage = open_storage(stores.storage, seams=seams)
                stack.push_async_callback(storage.close)
            if stores is not None and stores.lineage is not None:
                from factflow_engine.lineage.moving import open_movable  # noqa: PLC0415

                lineage = open_movable(stores.lineage, directory=None, seams=seams)
                stack.push_async_callback(lineage.close)
            manager = OrchestratorManager(
                registry=self.registry, queue=self.queue, storage=storage, lineage=lineage, seams=seams
            )
            yield await stack.enter_async_context(manager)


def build_app(
    *,
    adapters: Iterable[str] = (),
    queue: QueueProtocol | None = None,
    allow_loss: bool = False,
    plug_ins: bool = True,
) -> App:
    """Build an engine: built-in adapters, installed plug-ins, the named modules, and a queue provider.

    Args:
        adapters: Dotted module names, or paths of Python files, whose marked classes are registered. Importing them
        runs their code.
        queue: Provider that configurations are checked for and run on, such as `open_queue` returns; by default one in
        memory.
        allow_loss: True to accept, on a provider that outlives the process, stages whose state does not.
        plug_ins: False to leave installed plug-ins out: none is imported.

    Raises:
        AdapterModuleError: A named module cannot be imported, or has no adapter that can be registered.
    """
    registry = ValidatingAdapterRegistry()
    problems = auto_discover_and_register(registry).problems if plug_ins else ()
    for module in dict.fromkeys(adapters):
        _register_named(registry, module)
    loader = PipelineConfigLoader(
        registry,
        validate_queue_name=memory_queue_name_problem if queue is None else queue.validate_name,
        durable=queue is not None and queue.outlives_process and not allow_loss,
    )
    return App(registry=registry, loader=loader, queue=queue, problems=problems)


def _register_named(registry: ValidatingAdapterRegistry, module: str) -> None:
    """Register adapters that were asked for by name: unlike for other plug-ins, every problem is an error."""
    report = search_named(registry, module)
    if report.problems:
        raise AdapterModuleError(module, report.problems)


def _finding(module: str, problem: DiscoveryProblem) -> Finding:
    return Finding(
        code=problem.code,
        severity=Severity.ERROR,
        file=problem.file or module,
        line=problem.line or 1,
        column=problem.column or 1,
        path="",
        message=problem.error,
        remedy=problem.remedy,
    )
