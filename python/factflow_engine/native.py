"""The only importer of the Rust extension, so that a missing build is explained once.

All other modules import native names from here: everything that the extension exports, as listed in its stub. So a
native name is added in Rust and in the stub, and not here.
"""

try:
    from factflow_engine._native import *  # noqa: F403 # pyright: ignore[reportWildcardImportFromLibrary]
except ImportError as error:
    if error.msg.startswith("factflow-engine"):
        raise  # it is built, and says why it cannot be used here
    raise ImportError(
        "factflow-engine's Rust extension is not built for this interpreter. In a checkout run `make setup`; "
        "elsewhere `pip install factflow-engine` needs stable Rust (rustup) on PATH when no wheel fits. "
        f"The import said: {error}"
    ) from error
