"""A memory's page: bounded in queries, masked until it is revealed, heard by ranges, safe from what people say."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext

from bench import memory_page
from memories.admin import moments, pictures, wording_diff
from memories.console.models import AuditEntry
from memories.models import MemoryRow
from memories.pipeline.models import PostProcessingRun
from memories.registry import records
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.support import ACTIONS
from omi.stores import audio
from speakers import people
from speakers.models import SpeakerDecision, VoiceSample
from tests.support.spoiled import EVIL, spoil
from transcription.segments import Segment

WORDS = "the delivery comes on Thursday"


@pytest.fixture
def row(db: None) -> MemoryRow:
    built: MemoryRow = memory_page.build(runs=2, attempts=3, segments=12, seconds=4.0)
    return built


def member(role: str, *, name: str = "") -> Client:
    """A staff member of one of the groups; "" of none; "stranger" is somebody who is not staff."""
    user = User.objects.create_user(name or f"{role or 'nobody'}-1", is_staff=role != "stranger")
    if role not in ("", "stranger"):
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def page(row: MemoryRow, rest: str = "change/") -> str:
    return f"/admin/memories/memoryrow/{row.pk}/{rest}"


def seen(client: Client, row: MemoryRow, query: str = "") -> str:
    answer = client.get(page(row) + query)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def reveal(client: Client, row: MemoryRow) -> None:
    assert client.post(page(row, "reveal/"), {"reason": "ticket 7"}).status_code == 302


def recording_of(row: MemoryRow) -> Any:
    return audio.for_memory(row.uid, row.memory_id, "recording")[0]


def test_what_the_page_costs_does_not_grow_with_what_it_shows(row: MemoryRow) -> None:
    client = member("admin")
    reveal(client, row)
    seen(client, row)
    with CaptureQueriesContext(connection) as few:
        seen(client, row)
    repository.update_memory(row.uid, row.memory_id, {"transcript_segments": memory_page.segments_of(2000)})
    memory_page._history(datetime.now(UTC) - timedelta(hours=8), 48, 50, recording_of(row).name)
    with CaptureQueriesContext(connection) as many:
        text = seen(client, row)
    assert len(many) <= len(few) + 1  # the runs that are not listed are counted
    assert text.count('class="who"') == 2000
    assert text.count("<rect x=") < 500
    assert len(text) < 1_000_000


def test_the_page_answers_the_six_questions_and_shows_the_step_that_failed(row: MemoryRow) -> None:
    text = seen(member("support"), row)
    for question in ("What happened?", "Why?", "Who is hurt?", "What can I do?", "What will it cost?"):
        assert question in text
    assert "What if I do nothing?" in text
    assert "A service cannot be used now: A service that is needed could not be reached" in text
    assert "nobody tries it again by itself" in text
    assert "cannot be transcribed again after that" in text
    assert 'id="detail-title">transcribe' in text
    assert "Ledger: 3 vendor calls" in text
    assert text.count('class="bar bar-bad"') == 3
    run = PostProcessingRun.objects.filter(uid=row.uid).earliest("pk").pk
    other = seen(member("support", name="x"), row, f"?run={run}&step=prepare_audio")
    assert f'id="detail-title">prepare_audio <span class="quiet">in run {run}' in other
    assert '"speech_seconds": 960.5' in other


def test_nothing_of_the_user_is_on_the_page_before_a_reason_is_given(row: MemoryRow) -> None:
    client = member("support")
    SpeakerDecision.objects.filter(voice="SPEAKER_01").update(best=people.list_people(row.uid)[0].id)
    for query in ("", "?compare=fal_whisperx@x", "?step=structure", "?step=none"):
        text = seen(client, row, query)
        for secret in (WORDS, "Budget", "agreed", "Anna", "calmness", recording_of(row).name + "/"):
            assert secret not in text, secret
    assert client.get(page(row, f"audio/{recording_of(row).name}/")).status_code == 403
    assert client.get(page(row, f"waveform/{recording_of(row).name}.svg")).status_code == 403
    assert client.post(page(row, "export/")).status_code == 403
    reveal(client, row)
    text = seen(client, row)
    for told in (WORDS, "Budget", "agreed", "calmness", "closest Anna"):
        assert told in text, told
    client.post(page(row, "reveal/"), {"hide": "yes"})
    assert WORDS not in seen(client, row)
    assert WORDS not in seen(member("support", name="other"), row)


def test_what_made_each_part_is_told_as_a_replay_takes_it(row: MemoryRow) -> None:
    records.keep(row.uid, row.memory_id, {"transcript": {"provider": "deepgram", "model": "nova-3", "prompt": ""}})
    text = seen(member("viewer"), row)
    assert "<dt>transcript</dt><dd>provider=deepgram model=nova-3</dd>" in text


def test_the_ticket_holds_ids_and_the_failure_and_no_words(row: MemoryRow) -> None:
    client = member("support")
    reveal(client, row)
    run = PostProcessingRun.objects.filter(uid=row.uid).latest("pk").pk
    text = seen(client, row, f"?run={run}&step=transcribe")
    ticket = re.search(r'<pre class="ticket"[^>]*>(.*?)</pre>', text, re.S)
    assert ticket is not None
    for told in ("Memory: bench-memory", "User: bench-user", f"Run: {run}", "Failure: vendor_unavailable",
                 "code 503", f"req-{run}-2", f"http://testserver{page(row)}?run={run}&step=transcribe"):  # fmt: skip
        assert told in ticket[1]
    for secret in (WORDS, "Budget", "Anna"):
        assert secret not in ticket[1]


def test_each_voice_has_a_sentence_with_its_numbers(row: MemoryRow) -> None:
    client = member("support")
    masked = seen(client, row)
    person = people.list_people(row.uid)[0].id
    assert f"closest the user 0.81 (98.1%, needs 95.0%), 0.23 before person {person[:8]} 0.58" in masked
    reveal(client, row)
    assert "closest Anna 0.62 (71.0%, needs 95.0%)" in seen(client, row)


@pytest.mark.django_db(transaction=True)
def test_a_recording_is_played_by_ranges_and_each_playback_is_in_the_audit_log() -> None:
    row: MemoryRow = memory_page.build(runs=1, attempts=1, segments=3, seconds=2.0)
    user = User.objects.create_superuser("ana")
    kept = recording_of(row)
    address = page(row, f"audio/{kept.name}/")

    async def listen() -> list[tuple[int, str, bytes]]:
        client = AsyncClient()
        await client.aforce_login(user)
        await client.post(page(row, "reveal/"), {"reason": "ticket 7"})
        found = []
        for asked in ("bytes=0-99", "bytes=100-", "bytes=999999999-"):
            answer = await client.get(address, headers={"range": asked})
            body = b"".join([piece async for piece in answer]) if answer.streaming else answer.content
            found.append((answer.status_code, answer.headers.get("Content-Range", ""), body))
        return found

    first, rest, beyond = async_to_sync(listen)()
    assert first[:2] == (206, f"bytes 0-99/{kept.size}")
    assert first[2] + rest[2] == audio.open(kept).read()
    assert beyond[0] == 416
    assert [entry.action for entry in AuditEntry.objects.order_by("id")] == ["reveal", "play_audio"]
    assert AuditEntry.objects.latest("id").details == {"recording": kept.name}


def test_only_this_memorys_recordings_are_heard_here(row: MemoryRow) -> None:
    client = member("senior")
    reveal(client, row)
    theirs = audio.put("bob", "recording", memory_page.recording(1.0), memory_id="m-9", keep_for=None)
    voice = audio.put(row.uid, "sample", memory_page.recording(1.0), memory_id=row.memory_id, keep_for=None)
    for name in (theirs.name, voice.name, "none.wav"):
        assert client.get(page(row, f"audio/{name}/")).status_code == 404
        assert client.get(page(row, f"waveform/{name}.svg")).status_code == 404


def test_an_export_is_a_post_and_is_in_the_audit_log(row: MemoryRow) -> None:
    client = member("support")
    reveal(client, row)
    assert client.get(page(row, "export/")).status_code == 404
    answer = client.post(page(row, "export/"))
    assert WORDS in answer.content.decode()
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert [entry.action for entry in AuditEntry.objects.order_by("id")] == ["reveal", "export"]


def test_the_waveform_is_of_the_recordings_loudness_and_a_long_one_costs_no_more(row: MemoryRow) -> None:
    cache.clear()
    peaks = pictures.loudness(recording_of(row))
    assert len(peaks) == pictures.COLUMNS
    assert max(peaks) == 1.0
    assert min(peaks) < 0.3
    broken = audio.put(row.uid, "upload", b"no audio at all", memory_id=row.memory_id, keep_for=None)
    picture = pictures.picture_of(broken)
    assert "not a recording" in picture
    assert "<script" not in pictures.waveform([], "<script>")


def test_versions_are_compared_word_by_word(row: MemoryRow) -> None:
    client = member("support")
    reveal(client, row)
    other = transcripts.list_transcripts(row.uid, row.memory_id)["fal_whisperx"]
    text = seen(client, row, f"?compare=fal_whisperx@{other.version}")
    assert "<del>the</del>" in text
    assert "<ins>a</ins>" in text
    assert "coverage" in text
    assert "the new transcript leaves out much of what is said" in text


@pytest.mark.parametrize("kind", ["other words", "two words", "shifted"])
def test_comparing_long_transcripts_ends_in_time(kind: str) -> None:
    import time

    spoken = [f"w{index * 7919 % 3000}" for index in range(20_000)]
    heard = {
        "other words": [f"z{word}" for word in spoken],
        "two words": ["ab"[index * index % 7 % 2] for index in range(20_000)],
        "shifted": spoken[400:],
    }[kind]
    if kind == "two words":
        spoken = ["ab"[index * index % 5 % 2] for index in range(20_000)]

    def said(words: list[str]) -> list[wording_diff.Said]:
        return [wording_diff.Said(word, word, 0.0) for word in words]

    began = time.process_time()
    found = wording_diff.compare(said(spoken), said(heard))
    assert time.process_time() - began < 5
    assert found.same + found.removed <= 20_000
    assert found.rows


def test_small_differences_are_found_and_long_agreement_is_counted() -> None:
    def segment(text: str) -> Segment:
        return Segment(text=text, start=0, end=60)

    same = " ".join(f"word{index}" for index in range(60))
    before, after = f"{same} he said Thursday, {same}", f"{same} she said thursday {same}"
    found = wording_diff.compare(wording_diff.words([segment(before)]), wording_diff.words([segment(after)]))
    assert (found.same, found.removed, found.added) == (122, 1, 1)
    changed = [row for row in found.rows if row.kind == "changed"]
    assert [(row.left, row.right) for row in changed] == [("he", "she")]
    assert round(changed[0].at) == round(60 * 60 / 123)
    assert "words the same" in found.rows[0].left


def test_what_people_say_is_text(row: MemoryRow) -> None:
    """The browser test looks at the same under the page's policy."""
    spoil(row)
    client = member("admin")
    reveal(client, row)
    for query in ("", "?compare=evil@" + transcripts.list_transcripts(row.uid, row.memory_id)["evil"].version):
        raw = client.get(page(row) + query).content.decode()
        assert "<script>document" not in raw
        assert "<img src=x" not in raw
        assert html.unescape(raw).count(EVIL) >= 15
        assert " style=" not in raw.split('id="content"')[1]
        assert " onclick=" not in raw


# --- who may ---

DOING = [f"do/{name}/" for name in ACTIONS]
SEEING = ["change/"]
POSTED = ["reveal/", "export/"]


@pytest.mark.parametrize("role", ["stranger", "", "viewer", "support", "senior", "admin"])
def test_each_role_may_what_its_permissions_say_and_no_more(row: MemoryRow, role: str) -> None:
    client = member(role)
    staff = role in ("viewer", "support", "senior", "admin")
    rank = ["viewer", "support", "senior", "admin"].index(role) if staff else -1
    least = {"set_status": 2, "activate": 2, "restore": 2, "delete_audio": 3}
    outside = 302 if role == "stranger" else 403
    for rest in SEEING:
        assert client.get(page(row, rest)).status_code == (200 if staff else outside), rest
    for name in ACTIONS:
        allowed = rank >= least.get(name, 1)
        for answer in (client.get(page(row, f"do/{name}/")), client.post(page(row, f"do/{name}/"), {"reason": "x"})):
            assert answer.status_code in ((200, 409) if allowed else (outside,)), name
        assert (f"do/{name}/" in client.get(page(row)).content.decode()) <= allowed
    assert client.post(page(row, "reveal/"), {"reason": "x"}).status_code == (302 if rank >= 1 else outside)
    heard = client.get(page(row, f"waveform/{recording_of(row).name}.svg")).status_code
    assert heard == (200 if rank >= 1 else outside)
    assert client.post(page(row, "export/")).status_code == (200 if rank >= 1 else outside)
    assert client.get(page(row, "do/erase/")).status_code in (404, outside)


def test_what_is_done_in_the_gallery_of_voices_is_in_the_audit_log(db: None) -> None:
    kept = audio.put("bob", "sample", memory_page.recording(1.0), keep_for=None)
    sample = VoiceSample.objects.create(
        uid="bob", source="segment", status="candidate", audio=kept.name, seconds=1, voiced_seconds=1
    )
    client = Client()
    client.force_login(User.objects.create_superuser("ana"))
    client.post("/admin/speakers/voicesample/reveal/", {"uid": "bob", "person": "", "reason": "ticket 7"})
    assert client.get(f"/admin/speakers/voicesample/audio/{sample.pk}/").status_code == 200
    entries = AuditEntry.objects.order_by("id").values_list("action", "actor", "target", "uid", "reason")
    assert list(entries) == [
        ("reveal_voice", "staff:ana", "bob/user", "bob", "ticket 7"),
        ("play_voice", "staff:ana", "bob/user", "bob", ""),
    ]


def test_a_permission_that_is_taken_away_ends_the_reveal(row: MemoryRow) -> None:
    client = member("support")
    reveal(client, row)
    assert WORDS in seen(client, row)
    user = User.objects.get(username="support-1")
    user.groups.set([Group.objects.get(name="viewer")])
    assert WORDS not in seen(client, row)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.424, "0.42 s"), (12.34, "12.3 s"), (245, "4 min 05 s"), (7380, "2 h 03 min"), (273600, "3 d 4 h")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert moments.length(seconds) == text
