"""The support console: what needs a human, incident replays, who may do what, and the log of what staff did."""
