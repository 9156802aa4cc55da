"""The languages in which tasks, dates and events are found by rule, one file each."""
