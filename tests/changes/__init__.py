"""Changes of a person to words and action items."""
