"""The base of the built-in adapters' config models: frozen, closed, and described by its field docstrings."""

from pydantic import BaseModel, ConfigDict


class BuiltinConfig(BaseModel):
    """Refuses unknown fields; what stands under a field becomes its description in the JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
