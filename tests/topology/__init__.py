"""Several "hosts" on one machine: own data folders and, where root may make them, own networks."""
