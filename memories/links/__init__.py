"""Secret addresses that a user gives away: links to a memory, and the calendar feed of the action items."""
