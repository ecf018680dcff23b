"""Benchmarks of factflow-engine beside what its users would write or run instead: `python -m bench SUITE [--quick]`.

Kept separate from the engine and its tests: nothing here is imported by either, and its dependencies are its own.
"""
