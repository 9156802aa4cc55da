"""The audit log is only added to: by the code, and by the database whoever asks it."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, connection, transaction

from memories.console import audit, roles
from memories.console.models import AuditEntry


@pytest.fixture
def entry(db: None) -> AuditEntry:
    return audit.record("staff:ana", "reveal", audit.memory("alice", "m-1"), "ticket 12", {"run": 4})


def test_an_entry_is_neither_changed_nor_deleted_by_code(entry: AuditEntry) -> None:
    entry.reason = "another"
    for change in (entry.save, entry.delete, AuditEntry.objects.all().delete):
        with pytest.raises(TypeError):
            change()
    with pytest.raises(TypeError):
        AuditEntry.objects.update(reason="another")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE console_auditentry SET reason = 'another'",
        "UPDATE console_auditentry SET actor = 'staff:bob', target = 'erased', uid = '', memory_id = '', reason = '',"
        " details = '{}'",
        "DELETE FROM console_auditentry",
    ],
)
def test_the_database_refuses_every_change(entry: AuditEntry, statement: str) -> None:
    with pytest.raises(IntegrityError, match="audit_is_only_added_to"), transaction.atomic():
        connection.cursor().execute(statement)
    assert AuditEntry.objects.get().reason == "ticket 12"


def test_an_erased_user_is_not_named_any_more_and_who_did_what_stays(entry: AuditEntry) -> None:
    audit.record("staff:ana", "reveal", audit.memory("bob", "m-2"), "ticket 13")
    assert audit.remaining("alice") == 1
    assert audit.forget_user("alice") == 1
    assert audit.remaining("alice") == 0
    entry.refresh_from_db()
    assert (entry.actor, entry.action, entry.target, entry.reason, entry.details) == (
        "staff:ana", "reveal", "erased", "", {},
    )  # fmt: skip
    assert AuditEntry.objects.get(uid="bob").reason == "ticket 13"


def test_each_group_may_do_all_that_the_one_before_it_may(db: None) -> None:
    roles.ensure(apps)
    before: set[str] = set()
    for name in ("viewer", "support", "senior", "admin"):
        user = User.objects.create_user(name, is_staff=True)
        user.groups.add(Group.objects.get(name=name))
        able = {codename for codename, _ in roles.PERMISSIONS if roles.may(user, codename)}
        assert able > before
        assert user.has_perm("memories.view_memoryrow")
        before = able
    assert before == {codename for codename, _ in roles.PERMISSIONS}


def test_a_stranger_and_one_who_left_may_nothing(db: None) -> None:
    roles.ensure(apps)
    for fields in ({"is_staff": False}, {"is_staff": True, "is_active": False}):
        user: Any = User.objects.create_user(f"user{len(str(fields))}", **fields)
        user.groups.add(Group.objects.get(name="admin"))
        assert not any(roles.may(user, codename) for codename, _ in roles.PERMISSIONS)
