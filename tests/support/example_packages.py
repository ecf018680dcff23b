"""The example packages: built and installed as their authors would, without asking any index, and used beside the engine."""

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(sysconfig.get_path("scripts"))
EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Installed:
    """A folder that a package of `examples` was installed into, on the import path of all that is run."""

    example: Path
    folder: Path

    def run(self, *command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        environment |= {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            command, cwd=self.example, env=environment, capture_output=True, text=True, check=False, timeout=100, **more
        )

    def factflow(self, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        return self.run(SCRIPTS / "factflow", *arguments, **more)

    def own_tests(self) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")


def install(name: str, folder: Path) -> Installed:
    """Build a package from its source and install it into a folder."""
    installed = Installed(EXAMPLES / name, folder)
    made = installed.run(
        SCRIPTS / "uv", "pip", "install", "--quiet", "--offline", "--no-cache", "--no-deps", "--python", sys.executable,
        "--target", folder, installed.example,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    return installed
