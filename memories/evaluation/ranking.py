"""Search measures of one question: recall@5, reciprocal rank and nDCG@10 of a ranked list of memories."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Final

from memories.evaluation.words import Parts

RECALL_AT: Final = 5
DEPTH: Final = 10


def ranking_parts(ranked: Sequence[str], wanted: Collection[str]) -> Parts:
    """Return recall, reciprocal rank and nDCG of one search, each as a sum and a count. ``ranked``: names of the items
    found, the best first; ``wanted``: those that answer the question."""
    gains = [1.0 / math.log2(place + 1) for place, name in enumerate(ranked[:DEPTH], 1) if name in wanted]
    ideal = [1.0 / math.log2(place + 1) for place in range(1, min(len(wanted), DEPTH) + 1)]
    first = next((place for place, name in enumerate(ranked, 1) if name in wanted), None)
    return {
        "search_recall": (len(set(ranked[:RECALL_AT]) & set(wanted)), min(len(wanted), RECALL_AT)),
        "search_mrr": (1.0 / first if first else 0.0, 1),
        "search_ndcg": (sum(gains) / sum(ideal), 1),
    }
