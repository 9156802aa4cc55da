"""This package measures the product on a dataset: recordings, and what is known to be true of them.

It runs every item through the product's own pipeline, holds the resulting memory against the truth, and reports each
figure with its interval, so that a change can be judged before users meet it (docs/evaluation.md).
"""
