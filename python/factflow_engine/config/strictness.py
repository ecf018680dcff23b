"""Process-wide switch that decides if errors stop a configuration; a loader may override it.

Kept separate from the loader because it is the package's only mutable state.
"""


class _Switch:
    __slots__ = ("strict",)

    def __init__(self) -> None:
        self.strict = True


_SWITCH = _Switch()


def configure_validation(*, strict: bool) -> None:
    """Set, for the whole process, how `PipelineConfigLoader.load` treats errors.

    Args:
        strict: True, the default: raise `ConfigurationError`. False: log the findings and return the configuration if
        one could be built in spite of them; if not, still raise. The runtime refuses a broken configuration when it
        starts it.
    """
    _SWITCH.strict = strict


def validation_is_strict() -> bool:
    """Return the last setting of `configure_validation`."""
    return _SWITCH.strict
