"""Learning from corrections and figures: evidence, proposal, evaluation on cases held out, a value with its record."""
