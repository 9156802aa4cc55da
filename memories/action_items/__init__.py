"""Rows of the action items of all memories, so that they can be listed together. They hold no words."""
