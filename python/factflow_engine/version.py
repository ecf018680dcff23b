"""Version of the installed package.

Kept separate because reading it imports `importlib.metadata`, which only programs that ask should pay for.
"""

from importlib.metadata import version
from typing import Final

__version__: Final = version("factflow-engine")
