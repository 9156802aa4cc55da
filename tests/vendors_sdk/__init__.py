"""The official SDKs must work against the simulated vendors."""
