"""Which people of the user a question names: who speaks in a memory is found by name, though nobody says it there."""

from __future__ import annotations

from django.core.cache import cache
from django.db.models import Count, Max

from memories.mirror.models import PersonRow
from memories.passages import spelling
from memories.search.words import STOP, words
from speakers import people

SECONDS = 600
TITLES = frozenset("mr mrs ms dr frau herr madame monsieur señor señora grandma grandpa mum dad uncle aunt".split())


def names(uid: str) -> dict[str, str]:
    """Return the names of the user's people, ``person_id`` to name, kept for some minutes and as long as no person
    changes."""
    rows = PersonRow.objects.filter(uid=uid).aggregate(count=Count("pk"), newest=Max("updated_at"))
    if not rows["count"]:
        return {}
    stamp = (rows["count"], str(rows["newest"]))
    key = f"names-{uid}"
    kept = cache.get(key)
    if not kept or kept[0] != stamp:
        kept = (stamp, people.names(uid))
        cache.set(key, kept, SECONDS)
    return dict(kept[1])


def named(uid: str, asked: list[str]) -> dict[str, list[str]]:
    """Words of a question (as ``terms`` gives them) that are part of a person's name, also misspelled, with the ids of
    these people."""
    found: dict[str, list[str]] = {}
    known = {person: set(words(name)) - TITLES - STOP for person, name in names(uid).items()}
    for word in asked:
        exact = [person for person, parts in known.items() if word in parts]
        # ``Thomas`` is no misspelled ``Tom``: only letters that mostly agree count, and not what one contains.
        alike = [] if exact else [
            person for person, parts in known.items() if any(spelling.alike(word, part) >= 0.5 for part in parts)
        ]  # fmt: skip
        if exact or alike:
            found[word] = exact or alike
    return found
