"""Links to memories."""
