"""What tests of pipelines need: a simulated world and fakes. The engine never imports it."""

from factflow_engine.testing.simulation import SimulatedThreads, Simulation, simulate

__all__ = ["SimulatedThreads", "Simulation", "simulate"]
