"""``/v1/users``: consent to keep recordings, export, push token, the end of the account."""

from __future__ import annotations

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from pydantic import Field
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.downloads import export_of, vault_of
from memories.api.reading import Query, body, parameters, query
from memories.api.shapes import AccountDeleted, Detail, FcmToken, Permission, Status
from memories.privacy import account
from omi.accounts import users
from omi.accounts.requests import fence_of, uid_of


class PermissionQuery(Query):
    """The query that permits, or no longer permits, that recordings are stored."""

    value: bool


class VaultQuery(Query):
    """The query of the archive of notes: the cursor in an earlier archive."""

    since: str = Field(default="", max_length=60)


class UserViewSet(viewsets.ViewSet):
    """The user's account: permission, export, push token, deletion."""

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
        return export_of(uid_of(request))

    @extend_schema(
        parameters=parameters(VaultQuery),
        responses={(200, "application/zip"): OpenApiTypes.BINARY, 422: Detail, 429: Detail},
        description="All memories as linked Markdown notes, or those that changed since the cursor in the `vault.json` "
        "of an earlier archive.",
    )
    def vault(self, request: Request) -> HttpResponseBase:
        return vault_of(uid_of(request), query(VaultQuery, request).since)

    @extend_schema(request=FcmToken, responses={200: Status, 422: Detail})
    def fcm_token(self, request: Request) -> Response:
        given = body(FcmToken, request)
        users.add_fcm_token(uid_of(request), given.fcm_token, given.time_zone, fence=fence_of(request))
        return Response({"status": "Ok"})
