"""Experiments: another provider, model, prompt or threshold for some users, judged by what comes of it."""
