"""How the user and the people they named speak, and how that sounds, over time (docs/search.md#insights)."""
