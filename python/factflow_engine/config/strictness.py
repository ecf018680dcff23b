"""True if findings stop a configuration: one switch for the process, which a loader may override.

Kept separate from the loader because it is the package's only changing state.
"""


class _Switch:
    __slots__ = ("strict",)

    def __init__(self) -> None:
        self.strict = True


_SWITCH = _Switch()


def configure_validation(*, strict: bool) -> None:
    """Choose, for the whole process, what `PipelineConfigLoader.load` does with errors.

    Args:
        strict: True, as at the start: it raises `ConfigurationError`. False: it logs the findings and returns the
            configuration if one could be built in spite of them; if none could be, it still raises. The runtime
            refuses what is really broken when it starts it.
    """
    _SWITCH.strict = strict


def validation_is_strict() -> bool:
    """Return the last setting of `configure_validation`."""
    return _SWITCH.strict
