"""Messages and rules that the cases are made of: seeded, so that every run sees the same."""
