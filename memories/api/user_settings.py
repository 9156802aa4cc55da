"""``/v1/users/settings``: in which time zone and language a user lives, and which recaps are made."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import available_timezones

from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, ConfigDict, Field, field_validator
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.reading import body
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from omi.accounts import users
from omi.accounts.requests import fence_of, uid_of

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\Z")


class UserSettings(BaseModel):
    """The user's settings. ``time_zone``: an IANA name. ``language``: of titles and recaps; null: as spoken."""

    name: str
    time_zone: str
    language: str | None
    recap_daily: bool
    recap_weekly: bool
    recap_push: bool


class ChangedSettings(BaseModel):
    """What is left out stays; ``language`` null means "as spoken"."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, max_length=60)
    time_zone: str | None = Field(default=None, max_length=64)
    language: str | None = Field(default=None, max_length=32)
    recap_daily: bool | None = Field(default=None, strict=True)
    recap_weekly: bool | None = Field(default=None, strict=True)
    recap_push: bool | None = Field(default=None, strict=True)

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            raise ValueError("should be a time zone such as Asia/Kathmandu")
        return value

    @field_validator("language")
    @classmethod
    def _code(cls, value: str | None) -> str | None:
        if value is not None and not _LANGUAGE.match(value):
            raise ValueError("should be a language code such as de or pt-BR")
        return value


class UserSettingsViewSet(viewsets.ViewSet):
    """The user's time zone, language and recaps."""

    @extend_schema(responses={200: UserSettings})
    def retrieve(self, request: Request) -> Response:
        """The settings of the user."""
        return Response(_shown(users.get_user(uid_of(request))))

    @extend_schema(request=ChangedSettings, responses={200: UserSettings, 422: Detail})
    def partial_update(self, request: Request) -> Response:
        """Change the settings that are given."""
        given = body(ChangedSettings, request).model_dump(exclude_unset=True)
        changed = {name: value for name, value in given.items() if value is not None or name == "language"}
        return Response(_shown(users.update_user(uid_of(request), fence=fence_of(request), **changed)))


def _shown(user: users.UserDoc) -> dict[str, Any]:
    return as_json(UserSettings(**{name: getattr(user, name) for name in UserSettings.model_fields}))
