"""``/v1/users``: consent to keep recordings, export, push token, the end of the account."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from pydantic import Field
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories import vault as notes
from memories.api.errors import ApiError
from memories.api.reading import Query, body, parameters, query
from memories.api.shapes import AccountDeleted, Detail, FcmToken, Permission, Status
from memories.privacy import account
from omi.accounts import users
from omi.accounts.requests import fence_of, uid_of
from omi.core.slots import Busy, Slots
from omi.core.streamed import StreamedFile


class PermissionQuery(Query):
    value: bool


class VaultQuery(Query):
    since: str = Field(default="", max_length=60)


ARCHIVES = Slots("archives", seconds=900.0)
PER_USER, PER_PROCESS = 1, 4
"""At a time: an archive is made while it travels, by a thread that reads all of a user's documents and audio."""


def archived(uid: str, make: Callable[[str], IO[bytes]], name: str) -> HttpResponseBase:
    """A file that is made while it travels, in its turn. Raises Busy, ApiError (422)."""
    slot = ARCHIVES.take(uid, per_user=PER_USER, in_all=PER_PROCESS)
    if slot is None:
        raise Busy(ARCHIVES.kind, 30)
    try:
        answer = StreamedFile(make(uid), as_attachment=True, filename=name, content_type="application/zip")
    except notes.BadCursor as error:
        slot.leave()
        raise ApiError(422, str(error)) from error
    except BaseException:
        slot.leave()
        raise
    answer._resource_closers.append(slot.leave)  # type: ignore[attr-defined]
    return answer


class UserViewSet(viewsets.ViewSet):
    @extend_schema(responses={200: Permission})
    def permission(self, request: Request) -> Response:
        user = users.get_user(uid_of(request))
        return Response({"store_recording_permission": bool(user.store_recording_permission)})

    @extend_schema(request=None, parameters=parameters(PermissionQuery), responses={200: Status, 422: Detail})
    def set_permission(self, request: Request) -> Response:
        asked = query(PermissionQuery, request)
        account.set_recording_permission(uid_of(request), asked.value, fence=fence_of(request))
        return Response({"status": "ok"})

    @extend_schema(responses={200: Status}, description="Withdraws the permission and erases all kept recordings.")
    def withdraw_permission(self, request: Request) -> Response:
        account.set_recording_permission(uid_of(request), False, fence=fence_of(request))
        return Response({"status": "ok"})

    @extend_schema(
        responses={200: AccountDeleted},
        description="Erases everything that is kept of this user, vectors, audio and voices included.",
    )
    def delete_account(self, request: Request) -> Response:
        receipt = account.delete_account(uid_of(request))
        return Response({"status": "ok", "message": "Account deleted successfully", "receipt": receipt})

    @extend_schema(
        responses={(200, "application/zip"): OpenApiTypes.BINARY, 429: Detail}, description="All of the user's data."
    )
    def export(self, request: Request) -> HttpResponseBase:
        return archived(uid_of(request), account.export, "omi-export.zip")

    @extend_schema(
        parameters=parameters(VaultQuery),
        responses={(200, "application/zip"): OpenApiTypes.BINARY, 422: Detail, 429: Detail},
        description="All memories as linked Markdown notes, or those that changed since the cursor in the `vault.json` "
        "of an earlier archive.",
    )
    def vault(self, request: Request) -> HttpResponseBase:
        asked = query(VaultQuery, request)
        return archived(uid_of(request), lambda uid: notes.vault(uid, asked.since), "omi-vault.zip")

    @extend_schema(request=FcmToken, responses={200: Status, 422: Detail})
    def fcm_token(self, request: Request) -> Response:
        given = body(FcmToken, request)
        users.add_fcm_token(uid_of(request), given.fcm_token, given.time_zone, fence=fence_of(request))
        return Response({"status": "Ok"})
