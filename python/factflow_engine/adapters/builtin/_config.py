"""Base of the built-in adapters' config models: frozen, closed, and described by its field docstrings."""

from pydantic import BaseModel, ConfigDict


class BuiltinConfig(BaseModel):
    """Config model that refuses unknown fields and takes field docstrings as descriptions in the JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
