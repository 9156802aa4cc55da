"""Recaps: one of each day and week in the user's own zone, of nothing but the memories, whatever the scheduler did."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from emotions.base import EmotionScore, EmotionSpan, EmotionTimeline
from memories.models import UserEvent
from memories.privacy import erasure
from memories.privacy.erasure_parts import remains
from memories.recaps import making, periods
from memories.recaps.models import Recap
from memories.repository import emotions
from memories.shapes import ActionItem, Memory, Structured
from omi.accounts.users import update_user
from omi.stores.documents import documents
from speakers import people
from tests.api.conftest import Caller

Remember = Callable[..., Memory]
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    def at(moment: datetime) -> None:
        monkeypatch.setattr(making.timezone, "now", lambda: moment)

    at(NOW)
    return at


def days(kind: str = "day", uid: str = "alice") -> list[str]:
    return [str(row.first) for row in Recap.objects.filter(uid=uid, kind=kind, due=False).order_by("first")]


def told(uid: str = "alice") -> int:
    return UserEvent.objects.filter(uid=uid, type="recap_created").count()


@pytest.mark.parametrize(
    ("zone", "day", "begins", "hours"),
    [
        ("Asia/Kathmandu", date(2026, 11, 24), datetime(2026, 11, 23, 18, 15, tzinfo=UTC), 24),
        ("Europe/Berlin", date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
        ("Europe/Berlin", date(2026, 10, 25), datetime(2026, 10, 24, 22, tzinfo=UTC), 25),
        ("America/Santiago", date(2026, 9, 6), datetime(2026, 9, 6, 4, tzinfo=UTC), 23),
        ("Australia/Lord_Howe", date(2026, 10, 4), datetime(2026, 10, 3, 13, 30, tzinfo=UTC), 23.5),
    ],
)
def test_a_day_is_from_midnight_to_midnight(zone: str, day: date, begins: datetime, hours: float) -> None:
    begin, end = periods.bounds("day", day, ZoneInfo(zone))
    assert (begin, (end - begin) / timedelta(hours=1)) == (begins, hours)
    assert periods.bounds("day", day + timedelta(days=1), ZoneInfo(zone))[0] == end
    week = periods.first_of("week", day)
    assert periods.bounds("week", week, ZoneInfo(zone))[1] > periods.bounds("day", day, ZoneInfo(zone))[0]


def test_days_are_those_of_the_user(remember: Remember, clock: Any) -> None:
    """Two memories on one UTC day, on two days in Kathmandu; one at the very midnight belongs to the day it begins."""
    update_user("alice", time_zone="Asia/Kathmandu")
    remember("Before", ("", "before"), created_at=datetime(2026, 11, 23, 18, 14, 59, tzinfo=UTC))
    remember("At", ("", "at"), created_at=datetime(2026, 11, 23, 18, 15, tzinfo=UTC))
    making.tick()
    assert days() == ["2026-11-23", "2026-11-24"]
    found = documents().get(making.document_path("alice", "day", date(2026, 11, 24)))
    assert found is not None
    assert [part["title"] for part in found.data["memories"]] == ["At"]
    assert found.data["time_zone"] == "Asia/Kathmandu"


def test_the_day_is_over_some_minutes_after_midnight(remember: Remember, clock: Any) -> None:
    update_user("alice", time_zone="Europe/Berlin")
    remember("Talk", ("", "talk"), created_at=datetime(2026, 10, 25, 22, 59, tzinfo=UTC))
    clock(datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC))
    making.tick()
    clock(datetime(2026, 10, 25, 23, 5, tzinfo=UTC))
    making.tick()
    assert days() == []
    clock(datetime(2026, 10, 25, 23, 11, tzinfo=UTC))
    making.tick()
    assert days() == ["2026-10-25"]
    assert days("week") == ["2026-10-19"]


def test_one_of_each_however_often_the_scheduler_comes(remember: Remember, clock: Any) -> None:
    for back in range(1, 12):
        remember("Talk", ("", f"talk {back}"), created_at=NOW - timedelta(days=back))
    assert making.tick() == 8  # of eleven days that it was away: seven, and the week that ended three days ago
    assert days() == [str((NOW - timedelta(days=back)).date()) for back in range(7, 0, -1)]
    assert days("week") == ["2026-11-16"]
    first = (days(), days("week"), told())
    for _ in range(3):
        making.plan("alice", NOW)
        assert making.tick() == 0
    assert (days(), days("week"), told()) == first


def test_two_at_once_make_one_and_a_killed_one_is_followed(
    remember: Remember,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remember("Talk", ("", "talk"), created_at=NOW - timedelta(days=1))
    making.look(NOW)
    row = Recap.objects.get(kind="day")
    store = making._store

    class Killed(BaseException):
        pass

    def die(*_: Any) -> bool:
        raise Killed

    monkeypatch.setattr(making, "_store", die)
    with pytest.raises(Killed):
        making.make(row.pk)
    assert making.make(row.pk) is False  # it may still be at it

    def second_comes_first(row: Recap, *rest: Any) -> bool:
        monkeypatch.setattr(making, "_store", store)
        clock(NOW + timedelta(minutes=20))
        assert making.make(row.pk) is True
        return store(row, *rest)  # the first wakes up, and finds that it lost its claim

    monkeypatch.setattr(making, "_store", second_comes_first)
    clock(NOW + timedelta(minutes=10))
    assert making.make(row.pk) is False
    assert told() == 1


def test_nothing_in_it_that_is_not_in_the_memories(alice: Caller, remember: Remember, clock: Any) -> None:
    anna = people.create_person("alice", "Anna").id
    said = [
        (anna, "The old lighthouse keeper painted every window of his tower in a different colour. We agreed on blue."),
        ("", "Then we take the night train to Bergen. Shall we take the ferry?"),
        (None, "A stranger at the next table talked about unusual mushrooms in the northern forest."),
    ]
    memory = remember(
        "Trip", *said, created_at=NOW - timedelta(days=1), language="en",
        structured=Structured(title="Trip", overview="A trip is planned.", action_items=[
            ActionItem(description="Book the train", owner="Anna"),
            ActionItem(description="book the train"), ActionItem(description="Done", completed=True)]),
    )  # fmt: skip
    spans = [
        EmotionSpan(start=0, end=4, emotions=[EmotionScore(name="joy", score=0.8)], is_user=True),
        EmotionSpan(start=4, end=9, emotions=[EmotionScore(name="anger", score=0.8)], is_user=False),
    ]
    emotions.save_emotions("alice", memory.id, EmotionTimeline(vendor="v", model="m", kind="estimate", spans=spans))
    making.tick()
    answer = alice.get("/v1/recaps/day/2026-11-24").json()
    recap = answer["recap"]
    spoken = {text for _, text in said}
    for moment in recap["decisions"] + recap["quotes"]:
        assert any(moment["text"] in text for text in spoken)
        assert moment["memory_id"] == memory.id
        segment = memory.transcript_segments[[m["text"] in t for _, t in said for m in [moment]].index(True)]
        assert (moment["start"], moment["end"]) == (segment.start, segment.end)
    assert [moment["text"] for moment in recap["decisions"]] == ["We agreed on blue.", said[1][1].split(". ")[0] + "."]
    assert [moment["name"] for moment in recap["quotes"]] == ["Anna"]
    assert [item["description"] for item in recap["action_items"]] == ["Book the train"]
    assert sorted((item["name"] or "", item["person_id"]) for item in recap["people"]) == [("", None), ("Anna", anna)]
    assert recap["moods"] == [{"emotion": "joy", "share": 1.0}]
    people.delete_person("alice", anna)
    again = alice.get("/v1/recaps/day/2026-11-24").json()["recap"]
    assert "Anna" not in str(again["people"] + again["quotes"])


def test_an_erased_memory_takes_its_part_along(alice: Caller, remember: Remember, clock: Any) -> None:
    kept = remember("Kept", ("", "kept"), created_at=NOW - timedelta(days=1))
    gone = remember("Secret", ("", "secret"), created_at=NOW - timedelta(days=1))
    making.tick()
    erasure.erase_memory("alice", gone.id, now=True)
    assert alice.get("/v1/recaps/day/2026-11-24").json()["recap"] is None
    making.tick()
    recap = alice.get("/v1/recaps/day/2026-11-24").json()["recap"]
    assert [part["memory_id"] for part in recap["memories"]] == [kept.id]
    erasure.erase_memory("alice", kept.id, now=True)
    making.tick()
    assert alice.get("/v1/recaps/day/2026-11-24").status_code == 404
    remember("Last", ("", "last"), created_at=NOW - timedelta(days=2))
    making.plan("alice", NOW)
    making.tick()
    erasure.erase_user("alice")
    assert remains("alice")["recaps"] == remains("alice")["documents"] == 0


def test_a_memory_that_comes_late_is_in_it_and_is_told_once(remember: Remember, clock: Any) -> None:
    remember("First", ("", "first"), created_at=NOW - timedelta(days=1))
    making.tick()
    remember("Late", ("", "late"), created_at=NOW - timedelta(days=1))
    making.plan("alice", NOW)
    assert making.tick() >= 1
    assert Recap.objects.get(kind="day").memories == 2
    assert told() == 1


def test_pushed_once_to_who_asked_for_it(
    remember: Remember,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(making, "push", lambda *told: sent.append(told))
    remember("Talk", ("", "talk"), created_at=NOW - timedelta(days=1))
    making.tick()
    assert (sent, len(days())) == ([], 1)
    update_user("alice", recap_push=True, fcm_tokens=["token"])
    Recap.objects.update(due=True)
    making.tick()
    Recap.objects.update(due=True)
    making.tick()
    assert [told[3] for told in sent] == [{"recap": "day/2026-11-24"}]


def test_who_switched_them_off_gets_none(remember: Remember, clock: Any) -> None:
    update_user("alice", recap_daily=False, recap_weekly=False)
    remember("Talk", ("", "talk"), created_at=NOW - timedelta(days=1))
    assert making.tick() == 0


def test_over_rest(alice: Caller, bob: Caller, remember: Remember, clock: Any) -> None:
    remember("Talk", ("", "talk"), created_at=NOW - timedelta(days=1))
    assert alice.get("/v1/recaps/day/2026-11-24").status_code == 404
    answer = alice.send("POST", "/v1/recaps/week/2026-11-24/regenerate")
    assert (answer.status_code, answer.json()["first"], answer.json()["making"]) == (200, "2026-11-23", True)
    assert alice.get("/v1/recaps/week/2026-11-26").json()["recap"] is None
    making.tick()
    assert [item["kind"] for item in alice.get("/v1/recaps").json()] == ["day", "week"]
    assert alice.get("/v1/recaps/week/2026-11-26").json()["recap"]["title"] == "Week of 2026-11-23"
    assert bob.get("/v1/recaps").json() == []
    for method, path in (("GET", ""), ("POST", "/regenerate")):
        assert bob.send(method, f"/v1/recaps/day/2026-11-24{path}").status_code == 404
        assert alice.send(method, f"/v1/recaps/month/2026-11-24{path}").status_code == 422
        assert alice.send(method, f"/v1/recaps/day/2026-02-30{path}").status_code == 422
    assert alice.send("POST", "/v1/recaps/day/2027-11-24/regenerate").status_code == 404
