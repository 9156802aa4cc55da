"""Folders and tags of a user, and which memories bear them."""
