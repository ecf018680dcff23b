"""Lineage: what happened to each message, written out of band and read back; see `providers` for the stores."""
