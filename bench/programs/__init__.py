"""Programs that are measured from outside, in a process of their own: memory, imports, start-up."""
