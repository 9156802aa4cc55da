"""Recordings that were captured offline: batches, their files, and the conversations they become."""
