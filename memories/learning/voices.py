"""Voices: a sample that was confirmed for the wrong person is set aside, and how sure a voice must be for one user.

A wrong confirmation teaches the profile somebody else's voice, which then takes more of it. So each accepted sample is
held against the others of its person: the one that is nearer to another person's samples waits for a second look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memories.experiments.models import TunedValue
from memories.learning.learner import ByName, Point, Proposal, threshold_proposal
from omi.core import tuned
from speakers import gallery
from speakers.models import SpeakerDecision, VoiceEmbedding, VoiceSample
from speakers.policy import ACCEPT, SHIFT_LIMIT

Vectors = Mapping[str, tuple[str, NDArray[np.float32]]]
"""Sample id to person and unit vector."""

LEAST_SAMPLES: Final = 3
"""Of one person: of two that disagree nobody knows which is wrong."""
CLEARLY: Final = 0.1
"""Cosine by which a sample must be nearer to another voice than to its own person's others."""
MOST_SAMPLES: Final = 300
LEAST_CASES: Final = 12
"""Voices that a person judged, before the threshold is moved."""
WRONG_NAME: Final = 5.0
"""A wrong name costs as much as so many voices left unknown."""


class Samples:
    """Learns which voice samples of a user were confirmed for the wrong person, and sets them aside."""

    name = "voices"
    for_one = True

    def proposals(self, uid: str) -> Iterator[Proposal]:
        """Yield at most one proposal: the samples to set aside."""
        vectors = _vectors(uid)
        foreign = foreign_samples(vectors)
        if not foreign:
            return
        left = {sample: found for sample, found in vectors.items() if sample not in foreign}
        judged = [
            sample for sample in left if sum(own == left[sample][0] for own, _ in left.values()) >= LEAST_SAMPLES - 1
        ]
        yield Proposal(
            learner=self.name, name="voice_samples_aside", uid=uid, value=sorted(foreign), now=[],
            why=f"{len(foreign)} samples are nearer to another voice than to the person they were confirmed for",
            before=_clearness(vectors, judged), after=_clearness(left, judged), held_out=len(judged),
            evidence={"samples": {sample: round(gap, 3) for sample, gap in foreign.items()}},
        )  # fmt: skip

    def apply(self, proposal: Proposal) -> None:
        _set(proposal.uid, proposal.value, VoiceSample.Status.ACCEPTED, VoiceSample.Status.CANDIDATE)

    def take_back(self, row: TunedValue) -> None:
        _set(row.uid, row.value, VoiceSample.Status.CANDIDATE, VoiceSample.Status.ACCEPTED)

    def harm(self, row: TunedValue) -> str:
        """A person looked at a sample that was set aside and confirmed it again."""
        again = VoiceSample.objects.filter(uid=row.uid, pk__in=row.value, status=VoiceSample.Status.ACCEPTED).count()
        return f"{again} of the samples were confirmed again" if again else ""


def foreign_samples(vectors: Vectors) -> dict[str, float]:
    """Return the samples that are nearer to another person's than to their own person's others, by how much. What was
    found foreign is left out of the next look: one wrong sample makes none of the right ones suspicious."""
    left = dict(vectors)
    found: dict[str, float] = {}
    while True:
        gaps = {sample: gap for sample in left if (gap := _gap(left, sample)) is not None and gap > CLEARLY}
        if not gaps:
            return found
        worst = max(gaps, key=lambda sample: (gaps[sample], sample))
        found[worst] = gaps[worst]
        del left[worst]


def _gap(vectors: Vectors, sample: str) -> float | None:
    """How much nearer the sample is to another person than to its own; None where there is too little to say."""
    person, vector = vectors[sample]
    by_person: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    for other, (owner, found) in vectors.items():
        if other != sample:
            by_person[owner].append(found)
    own = by_person.pop(person, [])
    if len(own) < LEAST_SAMPLES - 1 or not by_person:
        return None
    return max(_nearness(vector, others) for others in by_person.values()) - _nearness(vector, own)


def _nearness(vector: NDArray[np.float32], others: Sequence[NDArray[np.float32]]) -> float:
    return float(np.median([vector @ other for other in others]))


def _clearness(vectors: Vectors, judged: Sequence[str]) -> float:
    """How clearly ``judged`` samples belong to their own person's others: the mean of how much nearer each is to the
    mean of these than to that of anybody else, from 0 (all to somebody else) to 1."""
    clear = 0.0
    for sample in judged:
        person, vector = vectors[sample]
        sums: dict[str, NDArray[np.float32]] = {}
        for other, (owner, found) in vectors.items():
            if other != sample:
                sums[owner] = sums.get(owner, np.zeros_like(found)) + found
        near = {owner: float(vector @ total / max(1e-9, float(np.linalg.norm(total)))) for owner, total in sums.items()}
        best_other = max((value for owner, value in near.items() if owner != person), default=-1.0)
        clear += (near.get(person, -1.0) - best_other + 2) / 4
    return clear / len(judged) if judged else 0.0


def _vectors(uid: str) -> dict[str, tuple[str, NDArray[np.float32]]]:
    """Of the accepted samples, as the engine sees them that embedded most of them."""
    rows = VoiceEmbedding.objects.filter(sample__uid=uid, sample__status=VoiceSample.Status.ACCEPTED)
    by_engine: dict[tuple[str, str], dict[str, tuple[str, NDArray[np.float32]]]] = defaultdict(dict)
    for row in rows.select_related("sample").order_by("-id")[:MOST_SAMPLES]:
        by_engine[(row.engine, row.engine_version)][str(row.sample_id)] = (row.sample.person_id, row.array)
    return max(by_engine.values(), key=len, default={})


def _set(uid: str, ids: Sequence[str], before: str, after: str) -> None:
    samples = list(VoiceSample.objects.filter(uid=uid, pk__in=ids, status=before))
    VoiceSample.objects.filter(pk__in=[sample.pk for sample in samples]).update(status=after, confirmed=False)
    for person in {sample.person_id for sample in samples}:
        gallery.rebuild_all_engines(uid, person, reason="samples were set aside or taken back")


class Calibration(ByName):
    """Learns how sure a voice must be for one user (``speaker_accept``)."""

    name = "calibration"
    for_one = True

    def proposals(self, uid: str) -> Iterator[Proposal]:
        """How sure a voice must be for this user, from the voices that the user named, within ``SHIFT_LIMIT``."""
        now = float(tuned.value("speaker_accept", ACCEPT, uid=uid))
        grid = [
            round(ACCEPT + step / 100, 3) for step in range(-round(100 * SHIFT_LIMIT), round(100 * SHIFT_LIMIT) + 1)
        ]
        yield from threshold_proposal(
            judged_voices(uid), grid, now, learner=self.name, name="speaker_accept", uid=uid, least=LEAST_CASES,
            wrong=WRONG_NAME, told="voices that the user named",
        )  # fmt: skip

    def harm(self, row: TunedValue) -> str:
        since = [
            point for point in judged_voices(row.uid, since=row) if point.value >= float(row.value) and not point.passes
        ]
        return f"{len(since)} wrong names since" if len(since) >= 2 else ""


def judged_voices(uid: str, since: TunedValue | None = None) -> list[Point]:
    """Return the voices that a person named: the probability of the best candidate, and whether that was the one."""
    rows = SpeakerDecision.objects.filter(uid=uid, manual=True).exclude(best="")
    rows = rows.filter(created_at__gt=since.at) if since is not None else rows
    return [
        Point(row.probability, row.best == ("user" if row.is_user else row.person_id), row.memory_id)
        for row in rows.order_by("-id")[:1000]
    ]
