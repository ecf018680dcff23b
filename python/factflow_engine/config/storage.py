"""Rules of stored objects across a document: names can be parts of keys, no key is written twice, nothing is idle.

Kept separate from the models because these rules compare sections with one another.
"""

from collections.abc import Iterator
from typing import Final

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config.models import PipelineGlobalConfig
from factflow_engine.config.models.route import AdapterConfig
from factflow_engine.config.nodes import MappingNode, Path, key_mark, locate
from factflow_engine.config.report import Report
from factflow_engine.stages.keys import extension_of, object_key
from factflow_engine.storages.keys import key_problem
from factflow_protocols import StorageBackendAdapter

_SECTION: Final = "storage"
_SAMPLE_ID: Final = "0" * 32


def check_stored(
    config: PipelineGlobalConfig, root: MappingNode, registry: ValidatingAdapterRegistry, report: Report
) -> None:
    """Add findings on stages that store, of a configuration whose parts are valid."""
    places = list(_storing(config, registry))
    for route_id, route in config.routes.items():
        for index, stage in enumerate(route.adapters):
            if _writes_twice(stage, registry):
                where: Path = ("routes", route_id, "adapters", index, "store")
                text = (
                    "the stage itself stores each message under the key that this writes to, so that one would be lost"
                )
                report.add("E209", locate(root, where)[0], text, path=where)
    for route_id, index, name, extension in places:
        problem = key_problem(object_key("0", route_id, name, _SAMPLE_ID, extension))
        if problem:
            path: Path = ("routes", route_id, "adapters", index, "name")
            text = f"its objects would have keys that no store takes: {problem}"
            report.add("E106", locate(root, path)[0], text, path=path)
    if config.storage is not None and not places:
        report.add("W501", key_mark(root, (_SECTION,)), "no stage stores anything", path=(_SECTION,))


def _writes_twice(stage: AdapterConfig, registry: ValidatingAdapterRegistry) -> bool:
    """True if a stage is a `store_object` with a `store` of its own that has the same keys."""
    if stage.store is None or stage.type not in registry:
        return False
    cls = registry.get(stage.type).adapter_class
    if not issubclass(cls, StorageBackendAdapter):
        return False
    # Imported late: most configurations have no such stage.
    from factflow_engine.adapters.builtin.store_object import StageStorageAdapter  # noqa: PLC0415

    if not issubclass(cls, StageStorageAdapter):
        return False
    extension, content_field = stage.config.get("extension"), stage.config.get("content_field")
    if not isinstance(extension, str | None):
        return False  # refused elsewhere
    own = extension_of(None if extension is None else extension.removeprefix("."), content_field)
    return own == extension_of(stage.store.extension, stage.store.content_field)


def _storing(config: PipelineGlobalConfig, registry: ValidatingAdapterRegistry) -> Iterator[tuple[str, int, str, str]]:
    """Yield route id, index, name and extension of the stages that use the object store."""
    for route_id, route in config.routes.items():
        for index, stage in enumerate(route.adapters):
            if stage.store is not None:
                yield route_id, index, stage.name, stage.store.extension or ""
            elif stage.type in registry and issubclass(registry.get(stage.type).adapter_class, StorageBackendAdapter):
                yield route_id, index, stage.name, ""
