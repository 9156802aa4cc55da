"""Summary templates: which sections a memory's summary has, the built-in ones and the user's own."""
