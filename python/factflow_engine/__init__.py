"""factflow-engine: declarative pipelines on trio."""
