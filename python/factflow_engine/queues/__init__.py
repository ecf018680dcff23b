"""Queue providers, one a file, and the naming rules that the loader checks."""
