"""Contracts of providers as checks: queues, object stores, and stores of lineage; free of any test framework.

Kept separate from the fakes and the simulation because these checks are for authors of providers, not of pipelines. A check
is an async function that opens a provider, tests one behaviour, and raises `ConformanceError`.
"""
