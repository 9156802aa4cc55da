"""Merging and splitting memories: the rules, the steps with kills between them, the doors."""
