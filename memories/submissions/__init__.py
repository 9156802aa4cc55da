"""Forms that do something once, however often their button is pressed."""
