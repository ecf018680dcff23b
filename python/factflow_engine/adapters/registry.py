"""Adapter types by name, each checked when it is registered rather than when its first message arrives.

The only module that knows how the engine constructs adapters; the loader and the runtime call it. Pydantic is imported
with the first config model (`config_checks`).
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload

from factflow_engine.adapters import builtin
from factflow_engine.adapters.builtin import BUILTIN_ADAPTERS
from factflow_engine.adapters.class_checks import check_class, check_constructor, check_type_name, is_sync
from factflow_engine.errors import AdapterNotFoundError, AdapterRegistrationError
from factflow_protocols import PipelineAdapter, StatefulAdapter

if TYPE_CHECKING:
    from pydantic import BaseModel

    AnyConfigModel = type[BaseModel]

AnyAdapterClass = type[PipelineAdapter]
AdapterClass = TypeVar("AdapterClass", bound=type[PipelineAdapter])


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSpec:
    """Description of one adapter type.

    Attributes:
        type: The name that configurations use.
        adapter_class: Constructed once a stage and execution.
        config_model: Model of the stage's `config`; None if the adapter takes none.
        is_sync: True if `process` is a plain function, which the engine calls in a worker thread.
        is_stateful: True if it is opened, finished and closed with the execution.
        summary: One line that says what it does.
        requires_extra: The installation extra that it needs (`http` for `factflow-engine[http]`), if any.
    """

    type: str
    adapter_class: AnyAdapterClass
    config_model: AnyConfigModel | None
    is_sync: bool
    is_stateful: bool
    summary: str
    requires_extra: str | None = None


class ValidatingAdapterRegistry:
    """The adapter types that one engine knows; a new registry has the built-in types.

    Not a global: make one, register on it, and give it to the loader and the manager. Register everything before the
    first configuration is loaded; a registered type cannot be replaced.

    Example:
        registry = ValidatingAdapterRegistry()

        @registry.register("shout")
        class Shout(PipelineAdapter):
            async def process(self, context: PipelineContext) -> AdapterResult: ...
    """

    def __init__(self) -> None:
        self._specs: dict[str, AdapterSpec] = {}
        # For each type with a config model: the variant that refuses unknown fields.
        self._strict: dict[str, type[BaseModel]] = {}
        # Built-in types that were not used yet: `module:Class`.
        self._unloaded: dict[str, str] = dict(BUILTIN_ADAPTERS)
        # Plug-ins that could not be used, by the type that they name: the problem and its remedy.
        self._unusable: dict[str, tuple[str, str]] = {}
        # Installed plug-ins, once a type was missed: see `absence`.
        self._offers: dict[str, str] | None = None

    @classmethod
    def empty(cls) -> Self:
        """Make a registry without the built-in types."""
        registry = cls()
        registry._unloaded.clear()
        return registry

    def copy(self) -> ValidatingAdapterRegistry:
        """Make a registry with the same types, to which others can be added."""
        copied = ValidatingAdapterRegistry()
        for name, values in vars(self).items():
            setattr(copied, name, dict(values) if isinstance(values, dict) else values)
        return copied

    @overload
    def register(
        self, type_name: str, cls: None = None, *, config_model: type[BaseModel] | None = None
    ) -> Callable[[AdapterClass], AdapterClass]: ...

    @overload
    def register(
        self, type_name: str, cls: AdapterClass, *, config_model: type[BaseModel] | None = None
    ) -> AdapterClass: ...

    def register(
        self, type_name: str, cls: AdapterClass | None = None, *, config_model: type[BaseModel] | None = None
    ) -> AdapterClass | Callable[[AdapterClass], AdapterClass]:
        """Register an adapter class under a name, as a decorator or as a call.

        Args:
            type_name: Lower snake case, dots between namespaces (`acme.html_to_text`), at most 64 characters.
            cls: The class; without it a class decorator is returned.
            config_model: Model of the stage's config, in place of the class's own `config_model`.

        Returns:
            The class, unchanged.

        Raises:
            AdapterRegistrationError: The name is malformed or taken, or the engine could not use the class. The text
            names the line to write instead. Nothing is registered then.
        """
        check_type_name(type_name)
        if cls is None:
            return lambda decorated: self._add(type_name, decorated, config_model)
        return self._add(type_name, cls, config_model)

    def types(self) -> tuple[str, ...]:
        """Return the names of the types, sorted."""
        return tuple(sorted([*self._specs, *self._unloaded]))

    def get(self, type_name: str) -> AdapterSpec:
        """Return the description of a type.

        Raises:
            AdapterNotFoundError: The type is not registered; the text names the most similar types.
        """
        if type_name in self._unloaded:
            self._load(type_name)
        try:
            return self._specs[type_name]
        except KeyError:
            raise AdapterNotFoundError(self._not_found(type_name)) from None

    def types_of(self, cls: type[PipelineAdapter]) -> tuple[str, ...]:
        """Return the names under which a class is registered, sorted."""
        return tuple(sorted(name for name, spec in self._specs.items() if spec.adapter_class is cls))

    def note_unusable(self, type_name: str, problem: str, remedy: str) -> None:
        """Remember that the plug-in of this type could not be used, for errors about the type."""
        self._unusable.setdefault(type_name, (problem, remedy))

    def why_absent(self, type_name: str) -> tuple[str, str] | None:
        """Return why a plug-in's type is not registered, and the remedy; None if no plug-in names it."""
        if type_name in self._unusable:
            problem, remedy = self._unusable[type_name]
            return f"its plug-in could not be used: {problem}", remedy
        offers: dict[str, str] = _module("absence").offers() if self._offers is None else self._offers
        self._offers = offers
        offer = offers.get(type_name)
        if offer is None:
            return None
        absence: tuple[str, str] = _module("absence").not_searched(offer)
        return absence

    def __contains__(self, type_name: object) -> bool:
        return type_name in self._specs or type_name in self._unloaded

    def schema(self, type_name: str) -> dict[str, Any]:
        """Return the JSON Schema (draft 2020-12) of the type's `config`, as `validate_config` applies it.

        Raises:
            AdapterNotFoundError: The type is not registered.
        """
        self.get(type_name)
        strict = self._strict.get(type_name)
        if strict is None:
            return {"type": "object", "properties": {}, "additionalProperties": False}
        schema: dict[str, Any] = _config_checks().json_schema(strict)
        return schema

    def validate_config(
        self, type_name: str, config: Mapping[str, Any] | None, *, skipped: list[str] | None = None
    ) -> BaseModel | None:
        """Return the config as the adapter receives it; None for an adapter that takes none.

        Unknown fields are refused, unless the model itself says `extra="allow"` or `extra="ignore"`.

        Args:
            type_name: The adapter's type.
            config: The config as written.
            skipped: A list to have nothing imported that the config names, such as the function of `call`; names of
            what could therefore not be checked are added.

        Raises:
            AdapterNotFoundError: The type is not registered.
            pydantic.ValidationError: Everything that is wrong with the config. An adapter that takes no config refuses
            every key as `extra_forbidden`.
        """
        spec = self.get(type_name)
        values = {} if config is None else config
        if spec.config_model is None:
            if values:
                _config_checks().refuse_config(type_name, values)
            return None
        checks = _config_checks()
        strict = self._strict[type_name]
        if strict is not spec.config_model:
            checks.validate_as_written(strict, values, skipped)
        validated: BaseModel = checks.validate_as_written(spec.config_model, values, skipped)
        return validated

    def create(self, type_name: str, config: Mapping[str, Any] | None = None) -> PipelineAdapter:
        """Make a new adapter, for one stage of one execution.

        Raises:
            AdapterNotFoundError: The type is not registered.
            pydantic.ValidationError: The config is wrong.
        """
        validated = self.validate_config(type_name, config)
        construct = cast("Callable[..., PipelineAdapter]", self._specs[type_name].adapter_class)
        return construct() if validated is None else construct(validated)

    def _add(self, type_name: str, cls: AdapterClass, config_model: type[BaseModel] | None) -> AdapterClass:
        if type_name in self:
            holder = self.get(type_name).adapter_class
            raise AdapterRegistrationError(
                f"adapter type {type_name!r} is already {holder.__module__}.{holder.__qualname__}",
                f"choose another name, such as 'my.{type_name}'",
            )
        checked = check_class(type_name, cls)
        owner = f"adapter type {type_name!r} ({checked.__qualname__})"
        model = config_model if config_model is not None else checked.config_model
        if model is not None:
            model = _config_checks().check_config_model(owner, model)
        check_constructor(checked, takes_config=model is not None)
        self._store(type_name, checked, model)
        return cls

    def _load(self, type_name: str) -> None:
        module, name = self._unloaded.pop(type_name).split(":")
        cls: type[PipelineAdapter] = getattr(importlib.import_module(f"{builtin.__name__}.{module}"), name)
        # Not checked here: checking takes milliseconds a type, and a test checks each of them.
        self._store(type_name, cls, cls.config_model)

    def _store(self, type_name: str, cls: type[PipelineAdapter], model: type[BaseModel] | None) -> None:
        self._specs[type_name] = AdapterSpec(
            type=type_name,
            adapter_class=cls,
            config_model=model,
            is_sync=is_sync(cls),
            is_stateful=issubclass(cls, StatefulAdapter),
            summary=_summary(cls),
            requires_extra=getattr(cls, "requires_extra", None),
        )
        if model is not None:
            self._strict[type_name] = _config_checks().strict_variant(model)

    def _not_found(self, type_name: str) -> str:
        absence = self.why_absent(str(type_name))
        if absence is not None:
            return f"no adapter type {type_name!r} is registered: {'; '.join(absence)}"
        near = difflib.get_close_matches(str(type_name), self.types(), n=3)
        if near:
            return f"no adapter type {type_name!r} is registered; did you mean {' or '.join(map(repr, near))}?"
        known = ", ".join(self.types()) or "none at all"
        return f"no adapter type {type_name!r} is registered; known types: {known}"


def _config_checks() -> ModuleType:
    return _module("config_checks")


def _module(name: str) -> ModuleType:
    """Return a module of this package that is imported when it is first needed."""
    return importlib.import_module(f"factflow_engine.adapters.{name}")


def _summary(cls: type[PipelineAdapter]) -> str:
    if cls.summary:
        return cls.summary
    own = cls.__dict__.get("__doc__")  # an inherited docstring describes the base class
    return inspect.cleandoc(own).splitlines()[0] if own and own.strip() else ""
