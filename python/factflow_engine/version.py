"""The version of the installed package.

Kept separate because reading it imports `importlib.metadata`, which a program that does not ask need not pay for.
"""

from importlib.metadata import version
from typing import Final

__version__: Final = version("factflow-engine")
