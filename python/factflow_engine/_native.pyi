"""Rust half of factflow-engine. Import it through `factflow_engine.native`."""
