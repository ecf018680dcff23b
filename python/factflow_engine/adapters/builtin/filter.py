"""`filter`: end the messages for which a condition is false."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, JsonValue

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.conditions import compile_condition
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext


def _compiles(condition: dict[str, JsonValue]) -> dict[str, JsonValue]:
    compile_condition(condition)
    return condition


class FilterConfig(BuiltinConfig):
    """The condition that messages must meet."""

    condition: Annotated[dict[str, JsonValue], AfterValidator(_compiles)]
    """A condition, written as for stages and outbounds: `{field, operator, value}`, `all_of`, `any_of`, `not`."""


class Filter(PipelineAdapter):
    """Adapter that passes on the messages for which a condition holds; the others end `filtered`.

    A stage's own `condition` differs: where it is false, the stage is skipped and the message goes on.
    """

    config_model: ClassVar[type[Any] | None] = FilterConfig
    summary: ClassVar[str] = "Pass on the messages for which a condition holds, end the others as filtered."

    def __init__(self, config: FilterConfig) -> None:
        condition: Mapping[str, object] = config.condition
        self._condition = compile_condition(condition)

    async def process(self, context: PipelineContext) -> AdapterResult | None:
        """Evaluate the condition; the message is not decoded."""
        return AdapterResult.forward() if self._condition.matches(context.payload) else None
