"""The login of the support console: passwords are not tried out, and strangers do not use up the processor."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client, RequestFactory

from omi.accounts import staff_login

pytestmark = pytest.mark.django_db
RIGHT = "correct horse battery"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def staff(settings: Any) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_user("ana", password=RIGHT, is_staff=True)


def attempt(password: str, name: str = "ana", address: str = "10.0.0.1", **more: Any) -> Any:
    return Client().post("/admin/login/", {"username": name, "password": password}, REMOTE_ADDR=address, **more)


def test_five_wrong_passwords_lock_the_address_out_and_are_logged(
    staff: User, caplog: pytest.LogCaptureFixture
) -> None:
    """25 in 8 s cost no delay and left no line."""
    assert [attempt("wrong").status_code for _ in range(6)] == [200] * 5 + [429]
    refused = attempt(RIGHT)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "900")
    assert b"try again in 15 minutes" in refused.content
    told = [str(record.msg) for record in caplog.records]
    assert sum("staff_login_failed" in line and "'ana'" in line and "10.0.0.1" in line for line in told) == 5
    assert any("staff_login_locked" in line for line in told)
    assert any("staff_login_refused" in line for line in told)


def test_nobody_else_is_locked_out(staff: User) -> None:
    for _ in range(6):
        attempt("wrong")
    assert attempt(RIGHT, address="10.0.0.2").status_code == 302


def test_one_address_tries_twenty_passwords_whatever_the_names(staff: User) -> None:
    answers = [attempt("wrong", name=f"name{number}").status_code for number in range(21)]
    assert answers == [200] * 20 + [429]
    assert attempt(RIGHT).status_code == 429


def test_who_logs_in_begins_anew(staff: User) -> None:
    for _ in range(2):
        assert [attempt("wrong").status_code for _ in range(4)] == [200] * 4
        assert attempt(RIGHT).status_code == 302


def test_a_password_in_the_field_of_the_name_is_not_logged(staff: User, caplog: pytest.LogCaptureFixture) -> None:
    attempt("wrong", name="my secret passphrase")
    assert "passphrase" not in caplog.text
    assert "(unknown)" in caplog.text


def test_behind_the_proxy_of_production_its_own_entry_counts(settings: Any) -> None:
    request = RequestFactory().post("/admin/login/", HTTP_X_FORWARDED_FOR="1.1.1.1, 2.2.2.2", REMOTE_ADDR="127.0.0.1")
    assert staff_login.address_of(request) == "127.0.0.1"  # anybody may write it where no proxy stands in front
    settings.OMI_ENVIRONMENT = "production"
    assert staff_login.address_of(request) == "2.2.2.2"


def test_passwords_are_hashed_one_at_a_time_and_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers kept 1.5 cores busy."""
    at_work = most = 0
    guard = threading.Lock()
    let_go = threading.Event()

    def hashing(request: Any) -> Any:
        nonlocal at_work, most
        with guard:
            at_work += 1
            most = max(most, at_work)
        let_go.wait(30)
        with guard:
            at_work -= 1
        return HttpResponse("done")

    monkeypatch.setattr(staff_login.admin.site, "login", hashing)
    monkeypatch.setattr(staff_login, "_locked", lambda *_: False)
    monkeypatch.setattr(staff_login, "_later", lambda request, seconds: HttpResponse("later"))
    monkeypatch.setattr(staff_login, "PATIENCE", 60.0)
    answers: list[bytes] = []
    request = RequestFactory().post("/admin/login/", {"username": "a"})
    request.POST  # noqa: B018  read once, before the threads
    threads = [threading.Thread(target=lambda: answers.append(staff_login.login(request).content)) for _ in range(10)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 30
    while len(answers) < 10 - 1 - staff_login.WAITING and time.monotonic() < until:
        time.sleep(0.01)
    assert answers == [b"later"] * 6
    let_go.set()
    for thread in threads:
        thread.join(30)
    assert (most, answers.count(b"done")) == (1, 4)


@pytest.mark.parametrize(
    ("path", "needed"),
    [
        ("/admin/login/", "script-src 'self'"),
        ("/docs", "script-src 'self'"),
        ("/schema", "default-src 'none'"),
        ("/v1/memories", "default-src 'none'"),
        ("/healthz", "default-src 'none'"),
        ("/nowhere", "default-src 'none'"),
        ("/static/admin/css/base.css", "default-src 'none'"),
        ("/", "default-src 'none'"),
    ],
)
def test_every_answer_has_a_content_security_policy(path: str, needed: str) -> None:
    told = Client().get(path).headers["Content-Security-Policy"]
    assert needed in told
    assert "frame-ancestors 'none'" in told
    assert "unsafe-inline" not in told.replace("style-src 'self' 'unsafe-inline'", "")
    assert "unsafe-eval" not in told


@pytest.mark.parametrize("path", ["/docs", "/admin/login/"])
def test_no_page_holds_a_script_of_its_own(path: str) -> None:
    page = Client().get(path).content.decode()
    assert "<script>" not in page
    assert "onclick=" not in page
