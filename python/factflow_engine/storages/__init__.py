"""Object stores: `providers` opens one by its URL, `keys` checks keys, the other modules are the stores themselves."""
