"""Pages of the console: each asks for a permission, reads a bounded number of rows, and answers."""
