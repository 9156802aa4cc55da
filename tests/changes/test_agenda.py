"""Tasks of all memories as one list, and the calendar that shows them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client

from memories.action_items.models import ActionItemRow
from memories.changes import agenda, calendar
from memories.links.models import TaskFeed
from memories.models import MemoryRow, UserEvent
from memories.privacy import erasure
from memories.repository import memories as repository
from memories.search import word_index
from memories.shapes import ActionItem, Event, Memory, Structured
from omi.core.masking import masked
from tests.api.conftest import Caller

Make = Callable[..., Memory]
DAY = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.fixture
def say(make_memory: Make) -> Callable[..., Memory]:
    """A memory of a day with these action items."""

    def made(day: int, *items: str | ActionItem, uid: str = "alice", **fields: Any) -> Memory:
        listed = [ActionItem(description=item) if isinstance(item, str) else item for item in items]
        structured = Structured(title=f"Day {day}", action_items=listed, events=fields.pop("events", []))
        return make_memory(uid, created_at=DAY + timedelta(days=day), structured=structured, **fields)

    return made


def tasks(app: Caller, query: str = "") -> list[tuple[str, list[str]]]:
    answer = app.get(f"/v1/action-items{query}")
    assert answer.status_code == 200, answer.content
    return [(item["description"], [place["title"] for place in item["memories"]]) for item in answer.json()["items"]]


def test_the_same_task_said_twice_is_one_and_much_later_another(say: Make, alice: Caller) -> None:
    for day, text in ((0, "Call Anna"), (3, "call anna!"), (13, "Call Anna."), (40, "Call Anna"), (41, "Buy bread")):
        say(day, text)
    say(42, "Not mine", uid="bob")
    say(43, "Thrown away", discarded=True)
    assert tasks(alice) == [
        ("Buy bread", ["Day 41"]), ("Call Anna", ["Day 40"]), ("Call Anna", ["Day 0", "Day 3", "Day 13"])
    ]  # fmt: skip


def test_ticking_off_reaches_every_memory_and_saying_it_again_opens_a_new_one(say: Make, alice: Caller) -> None:
    made = [say(0, "Call Anna"), say(3, "Call Anna")]
    task = alice.get("/v1/action-items").json()["items"][0]
    for _ in range(2):
        done = alice.send("PATCH", f"/v1/action-items/{task['id']}", {"completed": True})
        assert (done.status_code, done.json()["completed"]) == (200, True)
    for memory in made:
        stored = repository.get_memory("alice", memory.id)
        assert [item.completed for item in stored.structured.action_items] == [True]
        assert len(stored.edits.changes) == 1
    assert tasks(alice) == []
    say(5, "Call Anna")
    assert tasks(alice) == [("Call Anna", ["Day 5"])]
    assert tasks(alice, "?state=done") == [("Call Anna", ["Day 0", "Day 3"])]


def test_due_and_overdue_tasks_are_told_apart(say: Make, alice: Caller) -> None:
    now = datetime.now(UTC)
    say(0, ActionItem(description="Late", due_at=now - timedelta(hours=1)), "No date")
    say(1, ActionItem(description="Soon", due_at=now + timedelta(hours=1)))
    assert [name for name, _ in tasks(alice, "?state=due")] == ["Soon", "Late"]
    assert [name for name, _ in tasks(alice, "?state=overdue")] == ["Late"]
    late = alice.get("/v1/action-items?state=overdue").json()["items"][0]["id"]
    put_off = alice.send("PATCH", f"/v1/action-items/{late}", {"due_at": "2099-01-01T00:00:00Z"})
    assert put_off.json()["due_at"] == "2099-01-01T00:00:00Z"
    assert tasks(alice, "?state=overdue") == []
    assert alice.send("PATCH", f"/v1/action-items/{late}", {"due_at": None}).json()["due_at"] is None


def test_pages_neither_lose_nor_repeat_a_task_while_others_come_and_are_done(say: Make, alice: Caller) -> None:
    for day in range(7):
        say(day, f"Task number {day}")
    seen: list[str] = []
    cursor, page = "", 0
    while True:
        answer = alice.get(f"/v1/action-items?limit=2{cursor}").json()
        seen += [item["description"] for item in answer["items"]]
        if answer["next_cursor"] is None:
            break
        say(20 + page, f"New task {page}", f"Task number {page}")  # said again: it stays in its place
        alice.send("PATCH", f"/v1/action-items/{answer['items'][0]['id']}", {"completed": True})
        cursor, page = f"&cursor={answer['next_cursor']}", page + 1
    assert seen == [f"Task number {day}" for day in reversed(range(7))]


@pytest.mark.parametrize("cursor", ["x", "bnVsbA", "WyIyMDI2LTExLTIwIiwgImEiLCAiYiJd", "W10"])
def test_what_is_no_cursor_and_no_task_is_refused(alice: Caller, cursor: str) -> None:
    assert alice.get(f"/v1/action-items?cursor={cursor}").status_code == 422
    assert alice.send("PATCH", f"/v1/action-items/{cursor}", {"completed": True}).status_code == 404


def test_a_strangers_task_is_not_found(say: Make, alice: Caller, bob: Caller) -> None:
    say(0, "Call Anna")
    task = alice.get("/v1/action-items").json()["items"][0]["id"]
    assert bob.send("PATCH", f"/v1/action-items/{task}", {"completed": True}).status_code == 404
    assert tasks(bob) == []


def test_rows_go_with_the_memory(say: Make, alice: Caller) -> None:
    memory = say(0, "Call Anna")
    assert tasks(alice)
    assert alice.delete(f"/v1/memories/{memory.id}").status_code == 204
    assert not ActionItemRow.objects.exists()
    assert tasks(alice) == []


ODD = "Ünïcode; commas, back\\slash\r\nBEGIN:VEVENT\nEND:VCALENDAR \x00\x0b" + "🧠 long " * 60


def test_the_calendar_is_what_the_standard_says_whatever_the_text_holds(say: Make, alice: Caller) -> None:
    due = datetime(2026, 12, 1, 9, tzinfo=UTC)
    say(0, ActionItem(description=ODD, due_at=due), "No date",
        events=[Event(title=ODD, description=ODD, start=due, duration=90)])  # fmt: skip
    say(1, ActionItem(description="Done", completed=True))
    url = alice.send("POST", "/v1/action-items/feed").json()["url"]
    answer = Client().get(url, headers={"Accept": "text/calendar"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/calendar; charset=utf-8")
    todos, events = components(answer.content)
    clean = re.sub(r"[\x00\x0b]", " ", ODD.replace("\r\n", "\n"))
    assert sorted(item["SUMMARY"] for item in todos) == sorted([clean, "No date"])
    assert {item.get("DUE") for item in todos} == {"20261201T090000Z", None}
    assert [(item["SUMMARY"], item["DTSTART"], item["DURATION"]) for item in events] == [
        (clean, "20261201T090000Z", "PT15M"), (clean, "20261201T090000Z", "PT90M"),
    ]  # fmt: skip
    assert len({item["UID"] for item in todos + events}) == 4
    assert "alice" not in answer.content.decode()


def test_a_feed_is_replaced_and_revoked_and_its_secret_is_stored_and_logged_nowhere(alice: Caller, bob: Caller) -> None:
    assert alice.get("/v1/action-items/feed").status_code == 404
    first = alice.send("POST", "/v1/action-items/feed").json()["url"]
    second = alice.send("POST", "/v1/action-items/feed").json()["url"]
    assert [Client().get(url).status_code for url in (first, second)] == [404, 200]
    secret = second.rsplit("/", 1)[1].removesuffix(".ics")
    assert secret not in str(TaskFeed.objects.values())
    assert secret not in masked(f"GET {second} 200")
    assert bob.delete("/v1/action-items/feed").status_code == 404
    assert alice.delete("/v1/action-items/feed").status_code == 204
    assert Client().get(second).status_code == 404


def test_a_feed_ends_with_the_account(say: Make, alice: Caller) -> None:
    say(0, "Call Anna")
    url = alice.send("POST", "/v1/action-items/feed").json()["url"]
    assert tasks(alice)
    erasure.erase_user("alice")
    assert erasure.verify_user_erased("alice") == {}
    assert Client().get(url).status_code == 404


def test_strangers_have_a_rate(alice: Caller, settings: Any) -> None:
    settings.OMI_STRANGERS_PER_MINUTE = 2
    codes = [Client().get("/v1/action-items/feed/none.ics", REMOTE_ADDR="192.0.2.7").status_code for _ in range(3)]
    assert codes == [404, 404, 429]


def test_folding_cuts_no_character() -> None:
    for line in calendar.folded("SUMMARY:" + "aé🧠" * 100).split("\r\n"):
        assert len(line.encode()) <= 75
    assert calendar.folded("x" * 75) == "x" * 75


def test_an_id_of_a_task_is_one_part_of_a_path() -> None:
    assert re.fullmatch(r"[\w-]+", agenda._packed(["a?b%2F#", "ai_1"]))


NAME = r"[A-Z0-9-]+"
VALUE = re.compile(r"(?:[^\x00-\x08\x0a-\x1f\x7f\\;,]|\\[\\;,nN])*")


def components(content: bytes) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """VTODOs and VEVENTs of a calendar; fails where RFC 5545 is broken: lines, folding, nesting, text, what must be."""
    text = content.decode()
    assert text.endswith("\r\n")
    assert not re.search(r"(?<!\r)\n|\r(?!\n)", text)
    lines = text.split("\r\n")[:-1]
    assert all(lines)
    assert max(len(line.encode()) for line in lines) <= 75
    open_parts: list[tuple[str, dict[str, str]]] = []
    closed: list[tuple[str, dict[str, str]]] = []
    for line in re.sub(r"\r\n[ \t]", "", text).split("\r\n")[:-1]:
        name, colon, value = line.partition(":")
        assert colon
        assert re.fullmatch(NAME, name), line
        if name == "BEGIN":
            assert value == "VCALENDAR" if not open_parts else [part for part, _ in open_parts] == ["VCALENDAR"]
            open_parts.append((value, {}))
        elif name == "END":
            part = open_parts.pop()
            assert part[0] == value
            closed.append(part)
        else:
            assert VALUE.fullmatch(value), line
            assert name not in open_parts[-1][1]
            plain = re.sub(r"\\(.)", lambda found: "\n" if found[1] in "nN" else found[1], value)
            open_parts[-1][1][name] = plain
    assert not open_parts
    assert closed[-1][0] == "VCALENDAR"
    assert {"VERSION", "PRODID"} <= set(closed[-1][1])
    for kind, told in closed[:-1]:
        assert {"UID", "DTSTAMP"} | ({"DTSTART"} if kind == "VEVENT" else set()) <= set(told)
        for name in {"DTSTAMP", "DTSTART", "DUE"} & set(told):
            datetime.strptime(told[name], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return ([told for kind, told in closed if kind == "VTODO"], [told for kind, told in closed if kind == "VEVENT"])


def test_a_new_task_is_told_once_and_an_old_one_that_is_read_again_never(make_memory: Make) -> None:
    now = datetime.now(UTC)

    def say(text: str, ago: timedelta, **fields: Any) -> Memory:
        item = ActionItem(description=text, **fields)
        made = make_memory(created_at=now - ago, structured=Structured(title="T", action_items=[item]))
        word_index.refresh("alice")
        return made

    def told() -> list[tuple[str, str]]:
        rows = UserEvent.objects.filter(uid="alice", type="action_item_created").order_by("number")
        return [(row.memory_id, row.payload["action_item_id"]) for row in rows]

    first = say("Call Anna", timedelta(hours=2))
    row = ActionItemRow.objects.get(memory_id=first.id)
    assert told() == [(first.id, row.item_id)]
    say("call anna!", timedelta(hours=1))  # said again
    say("Buy bread", timedelta(days=8))  # read into the index late
    say("Sweep", timedelta(hours=1), completed=True)
    assert len(told()) == 1
    assert "Call Anna" not in str(UserEvent.objects.filter(type="action_item_created").values())
    ActionItemRow.objects.all().delete()
    MemoryRow.objects.filter(uid="alice").update(words_stale=True, revision=F("revision"))
    word_index.refresh("alice")
    assert len(told()) == 1
    erasure.erase_memory("alice", first.id)
    assert told() == []
