"""Options of one invocation of the command; click carries them as the context's object."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Settings:
    """Filled in by options while click parses, read by the commands and by the guard around them.

    Attributes:
        debug: True if an error prints its traceback.
        as_json: True if standard output is to hold exactly one JSON document, errors included.
        document_printed: True if that document is out already.
        owns_process: True if the process is there for this invocation, so that its start is the command's.
        hidden: Takes out of a text what must not be shown of the configuration that was loaded.
    """

    debug: bool = False
    as_json: bool = False
    document_printed: bool = False
    owns_process: bool = False
    hidden: Callable[[str], str] = str
