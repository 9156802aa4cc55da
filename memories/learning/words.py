"""Vocabulary: a name or term that a user corrected twice is told to recognition."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from memories.experiments.models import TunedValue
from memories.feedback.models import LabelledCase, Part
from memories.language_detection import FUNCTION_WORDS
from memories.learning.learner import Proposal
from memories.vocabulary import terms
from memories.vocabulary.models import Healing

TWICE: Final = 2
LEAST_LETTERS: Final = 4
MOST_CASES: Final = 500
LONGEST_PAIR: Final = 3
"""Words on either side of a correction that is offered: a longer one is another sentence."""
MOST_OFFERED: Final = 20
MOST_LEARNED: Final = 50
"""Learned terms of one user; the rest of the list is the user's own."""
_SMALL: Final = frozenset(word for words in FUNCTION_WORDS.values() for word in words)


class Words:
    """Learns which terms a user has corrected, and adds them to the vocabulary."""

    name = "vocabulary"
    for_one = True

    def proposals(self, uid: str) -> Iterator[Proposal]:
        """Yield at most one proposal: the terms corrected in two memories or more that are not in the list."""
        known = terms.of(uid)
        by_case = {case.pk: corrected(case) for case in _cases(uid)}
        seen: dict[str, list[str]] = defaultdict(list)
        for case, found in by_case.items():
            for term in found:
                seen[term].append(case)
        told = {term.casefold() for term in known.terms}
        refused = _taken_back(uid)
        room = MOST_LEARNED - len(known.learned)
        new = [
            term
            for term, cases in seen.items()
            if len(cases) >= TWICE and term.casefold() not in told and term.casefold() not in refused
        ][: max(0, room)]
        if not new:
            return
        # Each case is judged by what the others teach: whether recognition would have known its words.
        words = {case: found for case, found in by_case.items() if found}
        before = [any(term.casefold() in told for term in found) for found in words.values()]
        after = [
            was or any(term in new and len(seen[term]) > 1 for term in found)
            for was, found in zip(before, words.values(), strict=True)
        ]
        yield Proposal(
            learner=self.name, name="vocabulary", uid=uid, value=new, now=known.terms,
            why=f"corrected {TWICE} times or more: {len(new)} terms",
            before=sum(before) / len(words), after=sum(after) / len(words), held_out=len(words),
            evidence={"terms": {term: seen[term] for term in new}, "version": known.version},
        )  # fmt: skip

    def apply(self, proposal: Proposal) -> None:
        terms.learn(proposal.uid, proposal.value)

    def take_back(self, row: TunedValue) -> None:
        terms.unlearn(row.uid, row.value)

    def harm(self, row: TunedValue) -> str:
        """A learned word that is heard where something else was said, and corrected away as often as it was taught."""
        for term in row.value:
            wrong = [
                case
                for case in _cases(row.uid)
                if case.created_at > row.at and term.casefold() in _words(case.machine) - _words(case.person)
            ]
            if len(wrong) >= TWICE:
                return f"a learned term was corrected away {len(wrong)} times since"
        return ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A word that was corrected in the same way ``times`` times: others of it may stand in old transcripts."""

    heard: str
    term: str
    times: int


def offered(uid: str) -> list[Offer]:
    """Return the words that the user corrected twice or more in the same way, the most frequent first, and that no
    healing has put right. Of what the user changed only, and shown to nobody else."""
    seen: Counter[tuple[str, str]] = Counter()
    for case in _cases(uid):
        seen.update(set(replaced(case)))
    done = {(heard.casefold(), term) for heard, term in
            Healing.objects.filter(uid=uid, undone_at=None).values_list("heard", "term")}  # fmt: skip
    found = [Offer(heard, term, times) for (heard, term), times in seen.most_common() if times >= TWICE]
    return [offer for offer in found if (offer.heard, offer.term) not in done][:MOST_OFFERED]


def replaced(case: LabelledCase) -> list[tuple[str, str]]:
    """What the machine had, small, and what the person put there, where that looks like a name or term."""
    return [
        (" ".join(old), " ".join(new))
        for old, new in _differences(case)
        if old and new and max(len(old), len(new)) <= LONGEST_PAIR and all(old) and any(map(_a_term, new))
    ]


def corrected(case: LabelledCase) -> list[str]:
    """The words that a person wrote in the place of others, or added, which look like names or terms."""
    return list(dict.fromkeys(word for _, new in _differences(case) for word in new if _a_term(word)))


def _differences(case: LabelledCase) -> Iterator[tuple[list[str], list[str]]]:
    """Words of the machine, small, and those that the person has in their place; either may be none."""
    machine, person = str(case.machine.get("text", "")).split(), str(case.person.get("text", "")).split()
    plain = [[_plain(word).casefold() for word in words] for words in (machine, person)]
    for kind, a, b, c, d in difflib.SequenceMatcher(a=plain[0], b=plain[1], autojunk=False).get_opcodes():
        if kind != "equal":
            yield plain[0][a:b], [_plain(word) for word in person[c:d]]


def _taken_back(uid: str) -> set[str]:
    """Terms that did harm once, or that somebody took back: they are not learned again."""
    rows = TunedValue.objects.filter(uid=uid, name="vocabulary", state=TunedValue.State.ROLLED_BACK)
    return {str(term).casefold() for row in rows for term in row.value}


def _a_term(word: str) -> bool:
    return len(word) >= LEAST_LETTERS and word.casefold() not in _SMALL and not word.isdigit()


def _plain(word: str) -> str:
    return word.strip(".,;:!?…\"'()[]«»“”„")


def _words(said: dict[str, str]) -> set[str]:
    return {_plain(word).casefold() for word in str(said.get("text", "")).split()}


def _cases(uid: str) -> list[LabelledCase]:
    rows = LabelledCase.objects.filter(uid=uid, part=Part.TRANSCRIPT).order_by("-created_at")
    return list(rows[:MOST_CASES])
