"""Merging memories into one and splitting one into two: prepared unseen, shown at once, undone in time."""
