"""The Django app of accounts: it connects the limit on failed sign-ins of staff."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "omi.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        from omi.accounts import staff_login

        staff_login.connect()
