"""This dataset is what ``make accuracy`` measures: the bundled talks, made speech, and written conversations."""
