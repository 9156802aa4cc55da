"""Incident replays: chosen, spread over time, stopped by a cap, killed in between, undone."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from memories.console import choosing, replay
from memories.console.models import AuditEntry, FailureGroup, Replay, ReplayItem
from memories.models import MemoryRow
from memories.pipeline import selection, service
from memories.pipeline.models import PostProcessingRun
from memories.privacy import erasure
from memories.registry import records
from memories.repository import memories as repository
from memories.shapes import Memory
from tests.console.conftest import failed_run, staff


def make_replay(**changed: Any) -> Replay:
    """A replay of all groups of the last week."""
    now = timezone.now()
    given: dict[str, Any] = {
        "name": "quota", "reason": "topped up", "actor": "staff:ana", "form_key": f"key-{Replay.objects.count()}",
        "group_ids": list(FailureGroup.objects.values_list("pk", flat=True)), "since": now - replay.WINDOW,
        "until": now + timedelta(minutes=1), "rate_per_minute": 600, "spend_cap": 0.0,
    }  # fmt: skip
    return replay.create(**{**given, **changed})


@pytest.fixture
def runs(db: None) -> list[PostProcessingRun]:
    made = [failed_run(number) for number in range(6)]
    for run in made:
        repository.create_memory(run.uid, Memory(id=run.memory_id, created_at=timezone.now()))
    return made


def turn(made: Replay, *, seconds: float = 60) -> str:
    """One tick, as if ``seconds`` had passed since the last start."""
    Replay.objects.filter(pk=made.pk, last_started_at__isnull=False).update(
        last_started_at=timezone.now() - timedelta(seconds=seconds)
    )
    made.refresh_from_db()
    result = replay.tick(made.pk, made.turn)
    made.refresh_from_db()
    return result


def end(run: PostProcessingRun | None, outcome: str = "success", message_id: str = "success", step: str = "") -> None:
    assert run is not None
    PostProcessingRun.objects.filter(pk=run.pk).update(
        state="finished", outcome=outcome, message_id=message_id, finished_at=timezone.now(),
        current_step=step or run.current_step,
    )  # fmt: skip


def states(made: Replay) -> list[str]:
    return list(made.items.order_by("id").values_list("state", flat=True))


def test_it_starts_so_many_a_minute_and_says_what_became_of_each(runs: list[PostProcessingRun]) -> None:
    made = make_replay(rate_per_minute=60)
    turn(made)
    assert states(made).count("started") == 1
    turn(made, seconds=3)
    assert states(made).count("started") == 4
    turn(made, seconds=0.2)
    assert states(made).count("started") == 4
    items = list(made.items.order_by("id")[:4])
    end(items[0].new_run)
    end(items[1].new_run, "quota", "vendor_quota", "transcribe")
    end(items[2].new_run, "timeout", "worker_died", "transcribe")
    turn(made, seconds=5)
    assert states(made) == ["done", "same_failure", "other_failure", "started", "started", "started"]
    for item in made.items.filter(state="started"):
        end(item.new_run)
    assert turn(made) == "done"
    assert "Done: 4 done, 1 same failure, 1 other failure." in [entry.text for entry in made.log.all()]


def test_the_filters_are_frozen_and_what_was_done_anew_is_left_out(runs: list[PostProcessingRun]) -> None:
    service.retry(runs[0], actor="staff:bob")
    made = make_replay()
    failed_run(50)
    assert made.total == 5
    service.retry(runs[1], actor="staff:bob")
    turn(made)
    turn(made)
    skipped = made.items.get(run=runs[1])
    assert (skipped.state, skipped.note) == ("skipped", "somebody has done it anew already")
    assert PostProcessingRun.objects.filter(follows=runs[1]).count() == 1


def test_without_a_filter_or_with_nothing_to_do_there_is_no_replay(runs: list[PostProcessingRun]) -> None:
    now = timezone.now()
    for wrong in (
        {"group_ids": []},
        {"since": now, "until": now - timedelta(days=1)},
        {"since": now - timedelta(days=9), "until": now - timedelta(days=8)},
        {"rate_per_minute": 0},
    ):
        with pytest.raises(choosing.Refused):
            make_replay(**wrong)
    assert not Replay.objects.exists()
    assert not AuditEntry.objects.exists()


def test_the_same_form_sent_twice_makes_one_replay(runs: list[PostProcessingRun]) -> None:
    assert make_replay(form_key="one").pk == make_replay(form_key="one").pk
    assert ReplayItem.objects.count() == 6


def test_the_cap_on_spend_pauses_it(runs: list[PostProcessingRun]) -> None:
    made = make_replay(spend_cap=1.0, rate_per_minute=60)
    Replay.objects.update(expected_cost=3.6)  # 0.60 $ each
    turn(made)
    turn(made, seconds=60)
    assert made.state == "paused"
    assert "cap of 1.00 $" in made.paused_because
    assert states(made).count("started") == 2
    replay.resume(made, actor="staff:ana", reason="more money", spend_cap=100.0)
    turn(made, seconds=60)
    assert states(made).count("started") > 2


def test_a_worker_that_dies_loses_nothing_and_starts_nothing_twice(
    runs: list[PostProcessingRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_replay()
    turn(made)
    real = service.retry

    def dies(run: PostProcessingRun, **given: Any) -> PostProcessingRun:
        real(run, **given)
        raise SystemExit

    monkeypatch.setattr(replay.service, "retry", dies)
    with pytest.raises(SystemExit):
        turn(made)
    monkeypatch.undo()
    assert states(made).count("started") == 1
    for _ in range(3):
        turn(made)
    assert states(made) == ["started"] * 6
    assert PostProcessingRun.objects.exclude(follows=None).count() == 6


def test_an_old_message_and_a_second_worker_are_void(runs: list[PostProcessingRun]) -> None:
    made = make_replay()
    assert replay.tick(made.pk, 7) == "not this one's turn"
    Replay.objects.update(lease_until=timezone.now() + timedelta(seconds=9))
    assert replay.tick(made.pk, 0) == "not this one's turn"
    assert replay.wake_all() == 0
    Replay.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert replay.wake_all() == 1


def test_a_stopped_replay_starts_nothing_more_and_may_be_undone(runs: list[PostProcessingRun]) -> None:
    made = make_replay()
    turn(made)
    item = made.items.get(state="started")
    end(item.new_run)
    replay.stop(made, actor="staff:ana", reason="wrong")
    with pytest.raises(choosing.Refused):
        replay.resume(made, actor="staff:ana", reason="no")
    assert states(made).count("skipped") == 5
    turn(made)
    assert made.items.get(pk=item.pk).state == "done"
    replay.undo(made, actor="staff:ana", reason="wrong")
    assert turn(made) == "undone"
    assert made.items.get(pk=item.pk).note == "there is no memory any more" or made.items.get(pk=item.pk).note


def test_undo_shows_the_earlier_transcript_again(db: None) -> None:
    from memories.repository import transcripts
    from transcription.segments import Segment

    old = [Segment(id="s0", text="what was said first", speaker="SPEAKER_00", start=0, end=4)]
    new = [Segment(id="s1", text="something else altogether", speaker="SPEAKER_00", start=0, end=4)]
    run = failed_run(1, uid="alice")
    memory = Memory(
        id=run.memory_id, created_at=timezone.now(), transcript_segments=old, active_transcript="deepgram_streaming"
    )
    repository.create_memory("alice", memory)
    transcripts.save_transcript("alice", run.memory_id, "deepgram_streaming", old, {})
    version = transcripts.save_transcript("alice", run.memory_id, "fal_whisperx", new, {})
    made = make_replay()
    turn(made)
    item = made.items.get()
    assert item.before_model == "deepgram_streaming"
    repository.mutate_memory(
        "alice", run.memory_id,
        lambda _: {"active_transcript": "fal_whisperx", "active_version": version, "transcript_segments": new},
    )  # fmt: skip
    end(item.new_run)
    assert turn(made) == "done"
    replay.undo(made, actor="staff:ana", reason="worse")
    assert turn(made) == "undone"
    shown = repository.get_memory("alice", run.memory_id)
    assert shown.active_transcript == "deepgram_streaming"
    assert [segment.text for segment in shown.transcript_segments] == ["what was said first"]
    assert made.items.get().note == "shows deepgram_streaming again"
    told = "1 of 1 memories show their earlier transcript again."
    assert f"Undone: {told}" in made.log.order_by("id").values_list("text", flat=True)
    assert told in staff("viewer").get(f"/admin/console/replays/{made.pk}/").content.decode()


def test_erasing_the_user_takes_their_items(runs: list[PostProcessingRun]) -> None:
    made = make_replay()
    turn(made)
    service.forget_user("user-0")
    assert made.items.count() == 4
    turn(made)


def test_the_form_previews_before_it_begins(runs: list[PostProcessingRun]) -> None:
    MemoryRow.objects.all()
    senior, group = staff("senior"), FailureGroup.objects.get()
    page = senior.get(f"/admin/console/replays/new/?group={group.pk}")
    given = page.context["form"].initial
    fields = {
        "groups": [group.pk], "since": f"{given['since']:%Y-%m-%d %H:%M:%S}",
        "until": f"{given['until']:%Y-%m-%d %H:%M:%S}", "name": "quota of fal", "reason": "topped up",
        "rate_per_minute": 60, "spend_cap": 1, "form_key": given["form_key"],
    }  # fmt: skip
    seen = senior.post("/admin/console/replays/new/", {**fields, "preview": "yes"})
    assert "6</strong> runs of <strong>3</strong> users" in seen.content.decode()
    assert not Replay.objects.exists()
    for _ in range(2):
        began = senior.post("/admin/console/replays/new/", {**fields, "confirmed": "yes"})
        assert began.status_code == 302
    assert Replay.objects.get().total == 6
    without = senior.post("/admin/console/replays/new/", {**fields, "groups": [], "confirmed": "yes"})
    assert "a replay of everything is never meant" in without.content.decode()
    assert isinstance(senior, Client)


@pytest.mark.parametrize(
    ("field", "given", "said"),
    [
        ("since", "yesterday", "Write day and time as 2026-11-29 14:30."),
        ("until", "", "Write day and time as 2026-11-29 14:30."),
        ("until", "2020-01-01 00:00", "The end of the time lies before its beginning."),
        ("name", "", "Give it a name"),
        ("reason", " ", "A reason is required"),
        ("rate_per_minute", "1000", "Choose a whole number from 1 to 600."),
        ("rate_per_minute", "fast", "Choose a whole number from 1 to 600."),
        ("spend_cap", "-1", "Write an amount in US dollars"),
        ("spend_cap", "nan", "Write an amount in US dollars"),
    ],
)
def test_the_form_refuses_in_plain_words(runs: list[PostProcessingRun], field: str, given: str, said: str) -> None:
    fields = {
        "groups": [FailureGroup.objects.get().pk], "since": "2026-01-01 00:00:00", "until": "2099-01-01 00:00:00",
        "name": "n", "reason": "r", "rate_per_minute": 60, "spend_cap": 1, "form_key": "k1", "confirmed": "yes",
        field: given,
    }  # fmt: skip
    answer = staff("senior").post("/admin/console/replays/new/", fields)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not Replay.objects.exists()


def test_the_time_of_the_form_is_in_the_zone_that_it_names(runs: list[PostProcessingRun]) -> None:
    senior, group = staff("senior"), FailureGroup.objects.get()
    senior.post("/admin/console/zone/", {"zone": "Asia/Tokyo"})
    page = senior.get(f"/admin/console/replays/new/?group={group.pk}")
    text = page.content.decode()
    assert "From (Asia/Tokyo)" in text
    shown = page.context["form"]["since"].value()
    fields = {
        "groups": [group.pk], "since": f"{shown:%Y-%m-%d %H:%M:%S}", "until": "2099-01-01 00:00:00", "name": "n",
        "reason": "r", "rate_per_minute": 60, "spend_cap": 1, "form_key": "k1", "confirmed": "yes",
    }  # fmt: skip
    assert senior.post("/admin/console/replays/new/", fields).status_code == 302
    since = Replay.objects.get().filters["since"]
    assert since.startswith(f"{timezone.now() - timedelta(days=7):%Y-%m-%d}")


@pytest.mark.parametrize("group", ["9" * 5000, "9" * 30, "-1", "²", "x", ""])
def test_a_group_of_the_address_that_can_be_none_is_left_out(db: None, group: str) -> None:
    """A number of five thousand digits is none that Python reads."""
    page = staff("root").get(reverse("admin:console_replay_new"), {"group": [group, "1"]})
    assert page.status_code == 200


# --- everything that was made with something ---


@pytest.fixture
def made(db: None) -> list[PostProcessingRun]:
    """Three memories with a run that ended well; the summaries of two were made by one model."""
    found = []
    for number, model in enumerate(("old", "old", "new")):
        uid, now = f"user-{number}", timezone.now()
        repository.create_memory(uid, Memory(id=f"m-{number}", created_at=now))
        found.append(
            PostProcessingRun.objects.create(
                uid=uid, memory_id=f"m-{number}", kind="capture", actor="test", plan=["structure", "index", "publish"],
                state="finished", outcome="success", message_id="success", finished_at=now, notified=True,
            )
        )  # fmt: skip
        records.keep(uid, f"m-{number}", {"structure": {"provider": "openai", "model": model}})
    return found


def test_everything_made_with_something_is_made_anew_and_watched(made: list[PostProcessingRun]) -> None:
    replayed = make_replay(group_ids=[], made_with={"model": "old"})
    assert (replayed.total, replayed.users) == (2, 2)
    assert replayed.filters["kinds"] == ["made with model old"]
    records.keep("user-1", "m-1", {"structure": {"provider": "openai", "model": "newer"}})
    records.keep("user-2", "m-2", {"structure": {"provider": "openai", "model": "old"}})  # later: not in it
    turn(replayed)
    turn(replayed)
    first, second = replayed.items.order_by("id")
    run = first.new_run
    assert run is not None
    assert (run.uid, run.kind, run.from_step, run.actor) == (
        "user-0", "reprocess", "structure", f"replay:{replayed.pk}"
    )  # fmt: skip
    assert (second.state, second.note) == ("skipped", "it has been made anew already")
    end(run)
    assert turn(replayed) == "done"
    assert states(replayed) == ["done", "skipped"]
    assert PostProcessingRun.objects.count() == 4


def test_what_cannot_be_made_anew_is_skipped_with_its_reason(made: list[PostProcessingRun]) -> None:
    replayed = make_replay(group_ids=[], made_with={"model": "old"})
    service.start("reprocess", "user-0", "m-0", actor="user:x")
    erasure.erase_memory("user-1", "m-1")
    turn(replayed)
    turn(replayed)
    notes = dict(replayed.items.values_list("run__uid", "note"))
    assert notes["user-0"] == "a run of it is at work"
    assert PostProcessingRun.objects.filter(actor__startswith="replay:").count() == 0


def test_a_selection_is_previewed_and_refused_in_plain_words(made: list[PostProcessingRun]) -> None:
    client = staff("senior")
    page = reverse("admin:console_replay_new")
    shown = client.get(page).content.decode()
    key = re.findall(r'name="form_key" value="(\w+)"', shown)[0]
    given = {
        "since": "2020-01-01 00:00", "until": "2100-01-01 00:00", "name": "A better model", "reason": "ticket 9",
        "rate_per_minute": "60", "spend_cap": "10", "form_key": key,
    }  # fmt: skip
    for asked, said in (
        ("", "Choose at least one group of failures, or what something was made with"),
        ("old", "Write conditions as NAME=VALUE"),
        ("moon=full", "A selection names at least one of part, provider, model"),
    ):
        told = html.unescape(client.post(page, {**given, "made_with": asked, "preview": "yes"}).content.decode())
        assert said in told, asked
    seen = html.unescape(
        client.post(page, {**given, "made_with": "model=old part=structure", "preview": "yes"}).content.decode()
    )
    assert "Begin: 2 runs" in seen
    assert not Replay.objects.exists()
    answer = client.post(page, {**given, "made_with": "model=old part=structure", "confirmed": "yes"}, follow=True)
    text = html.unescape(answer.content.decode())
    assert "made with model old, part structure" in text
    assert Replay.objects.get().total == 2
    none = html.unescape(client.post(page, {**given, "made_with": "model=none", "preview": "yes"}).content.decode())
    assert "Nothing was made with this in this time." in none


def test_every_part_of_the_registry_can_be_made_anew() -> None:
    """A template's sections were a part that no selection could take: the first such row was an error."""
    assert set(selection.FROM) == set(records.PARTS)
