"""Base of the built-in adapters' config models: frozen, closed, and described by its field docstrings."""

from pydantic import BaseModel, ConfigDict, ValidationInfo
from pydantic_core import PydanticCustomError


class BuiltinConfig(BaseModel):
    """Config model that refuses unknown fields and takes field docstrings as descriptions in the JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def explained(problem: str, remedy: str, code: str = "E303") -> PydanticCustomError:
    """Return an error of a validator whose finding has this remedy and code, rather than those of all errors."""
    context = {"problem": problem, "remedy": remedy, "code": code}
    return PydanticCustomError("explained", "{problem}; {remedy}", context)


def is_import_allowed(info: ValidationInfo, what: str | None = None) -> bool:
    """True if a validator may import what the configuration names; otherwise `what` is noted as not checked.

    The validation's context is then the list of what was not checked: see `ValidatingAdapterRegistry.validate_config`.
    """
    if not isinstance(info.context, list):
        return True
    if what is not None:
        info.context.append(what)
    return False
