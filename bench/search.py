"""Does search find? ``python -m bench.search`` prints recall@5, MRR and nDCG@10 of the shipped questions, of hybrid
search and of each of its ways alone; ``--memories 10000`` also the time of a search over HTTP.

The constants of ``memories/search/query.py`` were chosen on the even questions; the table shows the odd ones. Of a
question that nothing answers the share is shown for which nothing (of the bar and above) was found.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SET = Path(__file__).with_name("search_set.json")
UID = "bench-search"
SECONDS_A_WORD = 0.4
HYBRID = "hybrid"
WAYS = {"words alone": "words", "vectors alone": "vectors", HYBRID: "vectors words"}
REFUSED = "discard_right"
"""The evaluation's figure whose form the refused questions have: a share, better the higher."""
NAMES = {"search_recall": "recall", "search_mrr": "mrr", "search_ndcg": "ndcg", REFUSED: "refused"}
Parts = dict[str, tuple[float, float]]
"""Figure to what one question adds: above and below the line."""


def memories() -> Iterator[Any]:
    """The shipped memories as the backend stores them; people are named by ids of their names."""
    from memories.shapes import Memory, Structured
    from transcription.segments import Segment

    for item in json.loads(SET.read_text(encoding="utf-8"))["memories"]:
        at = datetime.fromisoformat(item["at"]).replace(tzinfo=UTC)
        segments, clock = [], 0.0
        for number, (who, text) in enumerate(item["said"]):
            length = SECONDS_A_WORD * max(len(text.split()), len(text) / 6)
            segments.append(
                Segment(
                    id=f"s{number}", text=text, speaker=f"SPEAKER_{number % 4:02d}", is_user=not who,
                    person_id=f"p-{who}" if who else None, start=clock, end=clock + length,
                )
            )  # fmt: skip
            clock += length + 1
        yield Memory(
            id=item["id"], created_at=at, started_at=at, finished_at=at + timedelta(seconds=clock),
            language=item["language"], transcript_segments=segments,
            structured=Structured(title=item["title"], overview=item["overview"], category=item["category"]),
        )  # fmt: skip


def store(uid: str, made: Sequence[Any]) -> None:
    """Documents, words, vectors and passages, through the same functions as the worker's."""
    from memories.passages import indexing, whole
    from memories.repository import memories as repository
    from memories.search import word_index
    from speakers import people

    who = sorted({item.person_id for memory in made for item in memory.transcript_segments if item.person_id})
    known = {identity: people.create_person(uid, identity.removeprefix("p-")).id for identity in who}
    for memory in made:
        for item in memory.transcript_segments:
            item.person_id = known.get(item.person_id or "")
        repository.create_memory(uid, memory)
    while word_index.refresh(uid, 500):
        pass
    whole.write(uid, list(made))
    while indexing.index_due(500):
        pass


def questions(half: int | None = None) -> list[tuple[str, str, list[str]]]:
    """(kind, question, ids of the memories that answer it); ``half``: 0 the even ones, 1 the odd ones of each kind."""
    seen: dict[str, int] = defaultdict(int)
    found = []
    for kind, text, ids in json.loads(SET.read_text(encoding="utf-8"))["questions"]:
        if half is None or seen[kind] % 2 == half:
            found.append((kind, text, ids))
        seen[kind] += 1
    return found


def parts_of(asked: Sequence[tuple[str, str, list[str]]], ways: str) -> dict[str, dict[str, Parts]]:
    """By kind of question, and of all that have an answer: what each question adds to recall@5, MRR and nDCG@10; one
    of ``negative`` to the share for which nothing was found."""
    from memories.evaluation.ranking import ranking_parts

    found: dict[str, dict[str, Parts]] = defaultdict(dict)
    for kind, text, wanted in asked:
        ranked = found_by(text, ways)
        if kind == "negative":
            found[kind][text] = {REFUSED: (float(not ranked), 1.0)}
        else:
            found[kind][text] = found["all"][text] = ranking_parts(ranked, wanted)
    return found


def found_by(text: str, ways: str) -> list[str]:
    """Memories in order. A way alone has the bar that it had before there was another: any word, a cosine of 0.15."""
    from memories.search import query, word_index

    if ways == "words":
        return [hit.memory_id for hit in word_index.find(UID, text)]
    if ways == "vectors":
        near = query._by_meaning(UID, text, 200, query.Filters())
        found = query.fused({name: item for name, item in near.items() if item.best >= 0.15}, {}, bars=False)
    else:
        found = query.ranking(UID, text, 10, query.Filters())
    return [item.memory_id for item in found]


def quality(half: int | None) -> dict[str, dict[str, dict[str, Parts]]]:
    """By way, kind and question."""
    return {way: parts_of(questions(half), ways) for way, ways in WAYS.items()}


def show(table: dict[str, dict[str, dict[str, Parts]]]) -> None:
    """Each way's figures; below, what is shown of hybrid search against each way alone (95 %, the same questions
    resampled for both): better, worse or, where the interval holds 0, neither."""
    from memories.evaluation.figures import differences, figures_of

    for kind in next(iter(table.values())):
        for way, told in table.items():
            names = {NAMES[name]: figure for name, figure in figures_of(told[kind]).items()}
            figures = "  ".join(f"{name} {figure.value:.3f}" for name, figure in names.items())
            print(f"{kind:<11} {way:<14} {figures}  ({len(told[kind])} questions)")
        for way in table:
            if way != HYBRID:
                found = differences(table[way][kind], table[HYBRID][kind])
                told_of = "  ".join(
                    f"{NAMES[name]} {item.difference:+.3f} ({item.low:+.3f} to {item.high:+.3f}) {item.verdict}"
                    for name, item in found.items()
                )
                print(f"{'':<11} against {way}: {told_of}")


def many(count: int) -> list[Any]:
    """Memories made of the shipped ones' sentences, each with some of its own words, from one minute to five."""
    from memories.shapes import Memory, Structured
    from transcription.segments import Segment

    base, chance = list(memories()), random.Random(5)
    made = []
    for number in range(count):
        one, other = chance.choice(base), chance.choice(base)
        said: list[Segment] = []
        clock = 0.0
        for segment in (one.transcript_segments + other.transcript_segments) * chance.choice((1, 1, 2, 3)):
            length = segment.end - segment.start
            text = f"{segment.text} {' '.join(f'word{int(chance.paretovariate(0.6)) % 50000}' for _ in range(4))}"
            said.append(segment.model_copy(update={
                "id": f"s{len(said)}", "text": text, "start": clock, "end": clock + length}))  # fmt: skip
            clock += length + 1
        at = one.created_at - timedelta(hours=number)
        made.append(
            Memory(id=f"b{number}", created_at=at, started_at=at, language="en", transcript_segments=said,
                   structured=Structured(title=f"{one.structured.title} {number}", overview=one.structured.overview,
                                         category=one.structured.category))
        )  # fmt: skip
    return made


def store_many(uid: str, made: Sequence[Any]) -> int:
    """In batches, as an importer would, and with random unit vectors: embedding 40,000 passages would take an hour. How
    many vectors."""
    import numpy as np

    from memories.mirror.models import MemoryRow
    from memories.mirror.rows import row_values
    from memories.passages import cutting, indexing
    from memories.passages.models import IndexedMemory
    from memories.repository.parsing import dump
    from memories.search import word_rows
    from omi.stores.documents import documents, path
    from omi.stores.documents.base import Write
    from omi.stores.vectors import namespace, vector_id, vectors
    from omi.stores.vectors.base import Vector

    numbers, count = np.random.default_rng(2), 0

    def unit() -> Any:
        return numbers.standard_normal(384).astype(np.float32)

    for at in range(0, len(made), 500):
        part = made[at : at + 500]
        documents().batch([Write("create", path("users", uid, "memories", item.id), dump(item)) for item in part])
        MemoryRow.objects.bulk_create(MemoryRow(uid=uid, memory_id=item.id, **row_values(item)) for item in part)
        word_rows.index(uid, part)
        rows = []
        for item in part:
            told = {"uid": uid, "memory_id": item.id, "created_at": int(item.created_at.timestamp())}
            rows.append(Vector(vector_id(uid, item.id), unit(), told | {"category": str(item.structured.category)}))
            for one in cutting.passages(item.transcript_segments):
                more = {"kind": indexing.KIND, "number": one.number, "start": one.start, "end": one.end}
                rows.append(Vector(indexing.identity(uid, item.id, one.number), unit(), told | more))
        vectors().upsert(rows, namespace=namespace())
        count += len(rows)
    IndexedMemory.objects.filter(uid=uid).update(due=False)
    return count


def over_http(folder: Path, count: int, rounds: int = 60) -> None:
    """Stores ``count`` memories, starts the web server, searches over loopback, prints median and 95th percentile."""
    import httpx

    from omi.accounts.tokens import mint
    from tests.support.servers import web_server

    began = time.perf_counter()
    stored = store_many("bench-many", many(count))
    print(f"{count} memories with {stored} vectors stored in {time.perf_counter() - began:.0f} s")
    asked = [text for _, text, _ in questions()] * 2
    environment = {name: os.environ[name] for name in ("OMI_DATA_DIR",)} | {
        "OMI_SEARCHES_PER_MINUTE": "0", "OMI_REQUESTS_PER_MINUTE": "0", "OMI_SEARCHES_PER_DAY": "0"}  # fmt: skip
    with web_server(folder, database=False, **environment) as server:
        headers = {"Authorization": f"Bearer {mint('bench-many')}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=60) as app:
            for text in asked[:3]:
                app.get("/v1/search", params={"q": text}).raise_for_status()
            spent = []
            for text in itertools.islice(asked[3:], rounds):
                at = time.perf_counter()
                app.get("/v1/search", params={"q": text}).raise_for_status()
                spent.append(1000 * (time.perf_counter() - at))
            middle, late = statistics.median(spent), statistics.quantiles(spent, n=20)[-1]
            print(f"GET /v1/search, {rounds} questions, one at a time: p50 {middle:.1f} ms, p95 {late:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", type=int, choices=(0, 1), default=1, help="0: on which constants were chosen")
    parser.add_argument("--all", action="store_true", help="all questions")
    parser.add_argument("--memories", type=int, default=0, help="also the time over HTTP at so many memories")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="omi-bench-search-") as folder:
        os.environ |= {"OMI_DATA_DIR": folder, "OMI_LOG_LEVEL": "ERROR", "SECRET_KEY": "bench-only-" + "x" * 50}
        os.environ["DJANGO_SETTINGS_MODULE"] = "omi.settings"
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        if chosen.memories:
            over_http(Path(folder), chosen.memories)
        store(UID, list(memories()))
        show(quality(None if chosen.all else chosen.half))


if __name__ == "__main__":
    main()
