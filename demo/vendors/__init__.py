"""Simulated vendors: loopback servers that speak the vendors' wire protocols.

They import nothing from the project, so that a simulator and an adapter cannot drift together; the vendors' own SDKs
hold them honest in tests/vendors_sdk. Speech simulators recognise only audio that they really receive (recognise.py).
"""
