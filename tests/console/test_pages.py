"""Every page of the console for every role, with the same number of queries whatever there is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from django.utils import timezone

from memories.console import audit, roles
from memories.console.models import AuditEntry, FailureGroup, Replay
from memories.mirror import rows
from memories.models import MemoryRow, ProcessingMemoryRow, UserEvent
from memories.pipeline.models import FigureTotal, PostProcessingRun, VendorBreaker, VendorCall
from memories.pipeline.operations.metrics import DURATION
from memories.shapes import ProcessingMemory
from tests.console.conftest import ROLES, staff
from tests.console.test_replay import make_replay

Some = Callable[[int], list[PostProcessingRun]]


def addresses() -> dict[str, str]:
    """Each page of the console with what it needs in its address, and the permission to see it."""
    group, made = FailureGroup.objects.get(), Replay.objects.get()
    return {
        "/admin/": roles.VIEW_MASKED,
        "/admin/console/failures/": roles.VIEW_MASKED,
        "/admin/console/failures/?status=all": roles.VIEW_MASKED,
        f"/admin/console/failures/{group.pk}/": roles.VIEW_MASKED,
        "/admin/console/replays/": roles.VIEW_MASKED,
        f"/admin/console/replays/new/?group={group.pk}": roles.REPLAY,
        f"/admin/console/replays/{made.pk}/": roles.VIEW_MASKED,
        "/admin/console/people/": roles.VIEW_MASKED,
        "/admin/console/people/user-1/": roles.VIEW_MASKED,
        "/admin/console/vendors/": roles.VIEW_MASKED,
        "/admin/console/vendors/fal/": roles.VIEW_MASKED,
        "/admin/console/live/": roles.VIEW_MASKED,
        "/admin/console/offline/": roles.VIEW_MASKED,
        "/admin/console/audit/": roles.VIEW_AUDIT,
        "/admin/console/find/?q=m-1": roles.VIEW_MASKED,
    }


def may(role: str, permission: str) -> bool:
    return role == "root" or permission in roles.GROUPS.get(role, ())


def test_every_route_of_the_console_is_in_this_file(some: Some) -> None:
    some(3)
    make_replay()
    named = {address.split("?")[0] for address in addresses()}
    routes = [
        str(pattern.pattern)
        for part in get_resolver().url_patterns
        if str(part.pattern) == "admin/"
        for pattern in part.url_patterns
        if str(pattern.pattern).startswith("console/")
    ]
    for route in routes:
        if route == "console/zone/":
            continue
        head = route.split("<")[0]
        parts = route.count("/")
        assert any(address.startswith(f"/admin/{head}") and address.count("/") == parts + 2 for address in named), route


@pytest.mark.parametrize("role", ["", *ROLES, "root"])
def test_each_role_sees_what_it_may(some: Some, role: str) -> None:
    some(3)
    make_replay()
    client = staff(role)
    for address, permission in addresses().items():
        answer = client.get(address)
        if address == "/admin/" or may(role, permission):
            assert answer.status_code in (200, 302), address
        else:
            assert answer.status_code == 403, address
        assert "style=" not in answer.content.decode()
        assert "<script>" not in answer.content.decode()


def test_a_stranger_is_asked_to_log_in(some: Some) -> None:
    some(3)
    make_replay()
    for address in addresses():
        for answer in (Client().get(address), Client().post(address, {"do": "resolve", "reason": "x"})):
            assert answer.status_code == 302, address
            assert answer["Location"].startswith("/admin/login/"), address


POSTS: list[tuple[str, dict[str, Any], str]] = [
    ("failures/{group}/", {"do": "resolve", "reason": "fixed"}, roles.MANAGE_FAILURES),
    ("failures/{group}/", {"do": "ignore", "more": "2", "reason": "known"}, roles.MANAGE_FAILURES),
    ("failures/{group}/", {"do": "assign", "owner": "ana", "note": "asked the vendor"}, roles.MANAGE_FAILURES),
    ("replays/{replay}/", {"do": "pause", "reason": "wait"}, roles.REPLAY),
    ("vendors/fal/", {"do": "close", "reason": "topped up"}, roles.MANAGE_BREAKERS),
    ("vendors/fal/", {"do": "open", "minutes": "5", "reason": "it invents words"}, roles.MANAGE_BREAKERS),
]


@pytest.mark.parametrize("role", ["", *ROLES])
def test_each_role_does_what_it_may_and_that_is_in_the_log(some: Some, role: str) -> None:
    some(3)
    made = make_replay()
    names = {"group": FailureGroup.objects.get().pk, "replay": made.pk}
    client = staff(role)
    for address, fields, permission in POSTS:
        before = AuditEntry.objects.count()
        answer = client.post(f"/admin/console/{address.format(**names)}", fields)
        if may(role, permission):
            assert answer.status_code == 302, address
            entry = AuditEntry.objects.first()
            assert entry is not None
            assert AuditEntry.objects.count() == before + 1
            assert (entry.actor, entry.action) == (f"staff:{role}", permission)
            assert entry.reason == fields.get("reason", "")
        else:
            assert answer.status_code == 403, address
            assert AuditEntry.objects.count() == before


def test_nothing_is_done_without_a_reason(some: Some, root: Client) -> None:
    some(3)
    made = make_replay()
    names = {"group": FailureGroup.objects.get().pk, "replay": made.pk}
    for address, fields, _ in POSTS:
        if fields["do"] != "assign":
            root.post(f"/admin/console/{address.format(**names)}", {**fields, "reason": "  "})
    assert FailureGroup.objects.get().status == "open"
    assert Replay.objects.get().state == "running"
    assert VendorBreaker.objects.get().reason == "quota"
    assert not AuditEntry.objects.exclude(details__has_key="runs").exists()


def test_as_many_queries_whatever_there_is(some: Some, root: Client) -> None:
    def counted() -> dict[str, int]:
        found = {}
        for address in addresses():
            root.get(address)
            with CaptureQueriesContext(
                connection,
            ) as queries:
                root.get(address)
            found[address] = len(queries)
        return found

    some(3)
    made = make_replay()
    few = counted()
    assert max(few.values()) <= 45, few
    Replay.objects.all().delete()
    for run in some_more(60):
        audit.record("staff:ana", "reveal", audit.run(run))
    Replay.objects.all().delete()
    again = make_replay()
    many = counted()
    few = {address.replace(f"/replays/{made.pk}/", f"/replays/{again.pk}/"): count for address, count in few.items()}
    grown = {address: (few[address], count) for address, count in many.items() if count > few[address]}
    assert grown == {}


def some_more(count: int) -> list[PostProcessingRun]:
    from tests.console.conftest import failed_run

    runs = [failed_run(100 + number) for number in range(count)]
    MemoryRow.objects.bulk_create(
        MemoryRow(uid=run.uid, memory_id=run.memory_id, created_at=run.created_at) for run in runs
    )
    return runs


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "say until which day it is ignored"),
        ({"until": "soon"}, "“soon” is no day; write it as 20"),
        ({"until": "2020-01-01"}, "the day must lie ahead"),
        ({"until": "9999-12-31"}, "the day must lie ahead, and within 366 days"),
        ({"more": "-3"}, "say until which day it is ignored"),
    ],
)
def test_ignoring_is_refused_in_plain_words(some: Some, root: Client, fields: dict[str, str], said: str) -> None:
    some(1)
    page = f"/admin/console/failures/{FailureGroup.objects.get().pk}/"
    told = root.post(page, {"do": "ignore", "reason": "known", **fields}, follow=True).content.decode()
    assert f"Nothing was changed: {said}" in told
    assert FailureGroup.objects.get().status == "open"
    assert not AuditEntry.objects.exists()


def test_a_day_begins_in_the_zone_of_who_chose_it(some: Some, root: Client) -> None:
    some(1)
    page = f"/admin/console/failures/{FailureGroup.objects.get().pk}/"
    root.post("/admin/console/zone/", {"zone": "Asia/Tokyo"})
    day = timezone.localdate(timezone=ZoneInfo("Asia/Tokyo")) + timedelta(3)
    root.post(page, {"do": "ignore", "reason": "known", "until": day.isoformat(), "more": "5"})
    until = FailureGroup.objects.get().ignored_until
    assert until is not None
    assert until == datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("Asia/Tokyo"))
    for address in (page, "/admin/console/failures/?status=ignored"):
        shown = " ".join(re.sub("<[^>]+>", " ", root.get(address).content.decode()).split())
        assert f"{until.astimezone(UTC):%Y-%m-%d} 15:00:00 UTC" in shown
        assert "or 6 failures in all" in shown


def test_the_vendor_of_a_failure_has_a_page_when_its_calls_are_kept_no_longer(some: Some, root: Client) -> None:
    """The link on the page of the failure led to a page that was not there, and so its breaker could not be opened."""
    some(3)
    VendorCall.objects.all().delete()
    VendorBreaker.objects.all().delete()
    group = FailureGroup.objects.get()
    assert "/admin/console/vendors/fal/" in root.get(f"/admin/console/failures/{group.pk}/").content.decode()
    assert f"/admin/console/failures/{group.pk}/" in root.get("/admin/console/vendors/fal/").content.decode()
    assert root.get("/admin/console/vendors/nobody/").status_code == 404


def test_durations_are_shown_and_not_the_length_of_a_number(some: Some, root: Client) -> None:
    """Each of them was 0: the template asked for the length of a float."""
    run = some(1)[0]
    VendorCall.objects.update(latency=1.5, audio_seconds=3725.0)
    MemoryRow.objects.update(seconds=245.0)
    ProcessingMemoryRow.objects.create(
        uid=run.uid, processing_memory_id="p-1", created_at=timezone.now(), last_audio=77.0
    )
    key = (
        json.dumps([DURATION, "transcribe", "success", "sum"]),
        json.dumps([DURATION, "transcribe", "success", "count"]),
    )
    FigureTotal.objects.bulk_create(
        FigureTotal(key=name, value=value) for name, value in zip(key, (84.0, 2.0), strict=True)
    )
    for address, told in {
        "vendors/fal/": ["1.50 s", "1 h 02 min"],
        f"people/{run.uid}/": ["4 min 05 s", "1 h 02 min", "1 min 17 s"],
        "people/": ["4 min 05 s"],
        "": ["42.0 s on average"],
    }.items():
        text = root.get(f"/admin/console/{address}" if address else "/admin/").content.decode()
        assert [item for item in told if item not in text] == [], address


def test_the_home_says_what_needs_a_human(some: Some, root: Client) -> None:
    text = root.get("/admin/").content.decode()
    assert "Nothing does" in text
    some(7)
    text = root.get("/admin/").content.decode()
    assert "Nothing does" not in text
    assert text.count("vendor_quota in transcribe, fal") == 1
    assert "fal is not called" in text
    assert "7 in 24 hours" in text


def test_the_page_of_a_frozen_run_says_so(some: Some, root: Client) -> None:
    """The radar called it frozen, and the page that it led to said that the run goes on."""
    ended, now = some(1)[0], timezone.now()
    lease = timedelta(seconds=settings.OMI_LEASE_SECONDS)
    run = PostProcessingRun.objects.create(
        uid=ended.uid, memory_id=ended.memory_id, kind="postprocess", actor="test", plan=ended.plan, state="running",
        lease_owner="host-b:7:1", heartbeat_at=now - lease * 0.6, lease_until=now + lease * 0.4, started_at=now,
    )  # fmt: skip
    rows = PostProcessingRun.objects.filter(pk=run.pk)
    page = f"/admin/memories/memoryrow/{MemoryRow.objects.get().pk}/change/"
    text = root.get(page).content.decode()
    assert "It is frozen: its worker, host-b:7:1, has shown no sign of life since" in text
    assert "Nothing happens until its lease has run out" in text
    rows.update(heartbeat_at=timezone.now(), lease_until=timezone.now() + lease)
    text = root.get(page).content.decode()
    assert "frozen" not in text
    assert "It goes on. If its worker dies" in text


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ("m-1", "/admin/memories/memoryrow/"),
        ("user-1/m-1", "/admin/memories/memoryrow/"),
        ("user-1", "/admin/console/people/user-1/"),
        ("ref-{run}", "/admin/pipeline/postprocessingrun/{run}/change/"),
        ("run {run}", "/admin/pipeline/postprocessingrun/{run}/change/"),
        ("call {call}", "/admin/pipeline/postprocessingrun/{run}/change/"),
        ("event 71", "/admin/memories/memoryrow/{memory}/change/"),
        ("#71", "/admin/memories/memoryrow/{memory}/change/"),
        ("p-1", "/admin/memories/memoryrow/{memory}/change/"),
        ("s-1", "/admin/memories/memoryrow/{memory}/change/"),
        ("session s-2", "/admin/memories/memoryrow/{memory}/change/"),
        ("s-open", "/admin/memories/processingmemoryrow/"),
        ("replay {replay}", "/admin/console/replays/{replay}/"),
    ],
)
def test_the_search_box_takes_any_id(some: Some, root: Client, asked: str, where: str) -> None:
    """A session's among them, however many conversations came since: it was looked for among the ten newest."""
    run = some(3)[1]
    now = timezone.now()
    for name, memory_id, sessions in (("p-1", run.memory_id, ["s-1", "s-2"]), ("p-2", None, ["s-open"])):
        rows.record_processing(
            run.uid, ProcessingMemory(id=name, created_at=now, memory_id=memory_id, session_ids=sessions)
        )
    for number in range(12):
        rows.record_processing(run.uid, ProcessingMemory(id=f"p-new-{number}", created_at=now))
    UserEvent.objects.create(uid=run.uid, number=71, type="new_memory_created", memory_id=run.memory_id)
    ids = {
        "run": run.pk,
        "call": VendorCall.objects.get(run=run).pk,
        "memory": MemoryRow.objects.get(memory_id=run.memory_id).pk,
        "replay": make_replay().pk,
    }
    answer = root.get("/admin/console/find/", {"q": asked.format(**ids)})
    assert answer.status_code == 302
    assert answer["Location"].startswith(where.format(**ids))


@pytest.mark.parametrize("asked", ["", "nothing", "99999999999999999999999", "'; --", "-1", "run x", "٣", "a/b/c"])
def test_the_search_box_takes_anything(some: Some, root: Client, asked: str) -> None:
    some(1)
    assert root.get("/admin/console/find/", {"q": asked}).status_code == 200


def test_times_are_shown_in_the_zone_that_was_chosen(some: Some, root: Client) -> None:
    some(1)
    assert (
        root.post("/admin/console/zone/", {"zone": "Asia/Tokyo", "back": "/admin/console/vendors/"}).status_code == 302
    )
    text = root.get("/admin/console/failures/").content.decode()
    assert "UTC" in text
    assert "Asia/Tokyo" in text
    away = root.post("/admin/console/zone/", {"zone": "Nowhere/At_all", "back": "https://evil.example/admin/"})
    assert away["Location"] == "/admin/"


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999999999999"])
def test_odd_numbers_in_an_address_are_no_error(some: Some, root: Client, page: str) -> None:
    some(1)
    group = FailureGroup.objects.get()
    assert root.get(f"/admin/console/failures/{group.pk}/?page={page}").status_code == 200
    assert root.get("/admin/console/failures/?status=nonsense").status_code == 404


def test_a_reason_and_a_note_are_shown_as_text(some: Some, root: Client) -> None:
    some(1)
    group = FailureGroup.objects.get()
    bad = "<img src=x onerror=alert(1)>"
    root.post(f"/admin/console/failures/{group.pk}/", {"do": "assign", "owner": bad, "note": bad, "reason": bad})
    for address in ("/admin/", f"/admin/console/failures/{group.pk}/", "/admin/console/audit/"):
        assert bad not in root.get(address).content.decode()


@pytest.mark.parametrize("odd", ["..%2Fx", "%2F", "9" * 400, "%F0%9F%A7%A0", "a%20b"])
def test_no_odd_id_in_an_address_of_the_console_is_an_error_of_ours(db: None, odd: str) -> None:
    client = staff("root")
    client.raise_request_exception = False
    wrong = []
    for model, shown in admin.site._registry.items():
        where = f"/admin/{model._meta.app_label}/{model._meta.model_name}/{odd}"
        for page in (f"{where}/change/", f"{where}/history/", f"{where}/look/"):
            code = client.get(page).status_code
            wrong += [(page, code, type(shown).__name__)] if code >= 500 else []
    assert wrong == []


def test_each_cell_names_its_column_for_narrow_pages(some: Some, root: Client) -> None:
    some(3)
    make_replay()
    looked = 0
    for address in [*addresses(), f"/admin/memories/memoryrow/{MemoryRow.objects.earliest('pk').pk}/change/"]:
        text = root.get(address, follow=True).content.decode()
        for table in re.findall(r'<div class="scroll"[^>]*><table.*?</table>', text, re.S):
            head, _, body = table.partition("</thead>")
            columns = [re.sub("<[^>]+>", "", told) for told in re.findall(r"<th scope=\"col\".*?>(.*?)</th>", head)]
            for row in re.findall(r"<tr\b.*?</tr>", body, re.S):
                cells = re.findall(r"<(t[hd])\b([^>]*)>", row)
                if "colspan" in cells[0][1]:
                    continue
                named = [re.search('data-label="([^"]*)"', more) for _, more in cells]
                told = [label[1] if label else "" for label in named]
                assert told == ["" if kind == "th" else name for (kind, _), name in zip(cells, columns, strict=True)]
                looked += 1
    assert looked >= 15
    listed = root.get("/admin/memories/memoryrow/").content.decode()
    assert re.search(r'<td data-label="Choose" class="action-checkbox">', listed)
    assert re.search(r'<td data-label="Post-processing" class="field-status">', listed)
