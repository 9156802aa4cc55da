"""What a person changes in a memory's words and action items: operations that can be undone, kept in the memory."""
