"""Simulation of pipelines: the whole engine in one process, in virtual time, as a function of a seed.

`faults` and `models` are data: what goes wrong, and how stages behave. `broker` is the queue provider: it outlives
simulated processes.
"""
