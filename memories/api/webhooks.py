"""``/v1/webhooks``: addresses of a user that are told what happened to the memories (docs/webhooks.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from drf_spectacular.utils import extend_schema
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from memories.api.reading import Query, body, parameters, query
from memories.api.rendering import as_json
from memories.api.shapes import Detail
from memories.webhooks import hooks, rules
from memories.webhooks.models import Webhook, WebhookDelivery
from omi.accounts.requests import fence_of, uid_of


def _known(name: str) -> str:
    if name not in rules.NAMES:
        raise ValueError(f"should be one of {', '.join(rules.NAMES)}")
    return name


KindName = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(rules.NAMES)})]
Kinds = Annotated[list[KindName], AfterValidator(lambda names: list(dict.fromkeys(names))), Field(min_length=1)]
Url = Annotated[str, Field(min_length=1, max_length=rules.MAX_URL)]


class NewWebhook(BaseModel):
    """A webhook that the user adds. ``kinds``: all of them where it is left out."""

    model_config = ConfigDict(extra="forbid")

    url: Url
    kinds: Kinds = Field(default_factory=lambda: list(rules.NAMES), max_length=20)


class ChangedWebhook(BaseModel):
    """What is left out, or null, stays."""

    model_config = ConfigDict(extra="forbid")

    url: Url | None = None
    kinds: Kinds | None = Field(default=None, max_length=20)
    active: bool | None = Field(default=None, strict=True)


class WebhookShown(BaseModel):
    """A webhook, without its secret. ``off_reason``: who switched it off, the user or its failing; null while it is
    active."""

    id: str
    url: str
    kinds: list[str]
    active: bool
    off_reason: Literal["user", "failing"] | None
    failing_since: datetime | None
    previous_secret_until: datetime | None
    created_at: datetime


class WebhookWithSecret(WebhookShown):
    """The only answer that holds the secret."""

    secret: str


class DeliveryShown(BaseModel):
    """One delivery in the log of a webhook. ``error``: a word for the last try that failed; ``next_at`` only while it
    waits."""

    number: int
    message_id: str
    kind: str
    memory_id: str | None
    state: Literal["waiting", "delivered", "failed"]
    tries: int
    created_at: datetime
    tried_at: datetime | None
    next_at: datetime | None
    status_code: int | None
    error: str | None
    milliseconds: int | None


class DeliveryList(RootModel[list[DeliveryShown]]):
    """A page of the delivery log, newest first."""


class DeliveriesQuery(Query):
    """The query of a webhook's delivery log."""

    before: int | None = Field(default=None, ge=1, le=2**53, description="the last number of the page before")
    limit: int = Field(default=50, ge=1, le=200)


class WebhookViewSet(viewsets.ViewSet):
    """Webhooks and their deliveries. What belongs to somebody else is 404."""

    @extend_schema(responses={200: WebhookShown})  # of a list, which drf-spectacular adds by the method's name
    def list(self, request: Request) -> Response:
        """All webhooks of the user, without secrets."""
        return Response([as_json(_shown(hook)) for hook in hooks.of_user(uid_of(request))])

    @extend_schema(
        request=NewWebhook,
        responses={200: WebhookWithSecret, 409: Detail, 422: Detail},
        description="Adds a webhook. `secret` is shown here and never again. 409: this address has one, or as many are "
        "there as may be.",
    )
    def create(self, request: Request) -> Response:
        """Add a webhook, and return its secret."""
        given = body(NewWebhook, request)
        hook, secret = hooks.create(uid_of(request), given.url, given.kinds, fence=fence_of(request))
        return _with_secret(hook, secret)

    @extend_schema(responses={200: WebhookShown, 404: Detail})
    def retrieve(self, request: Request, webhook_id: str) -> Response:
        """One webhook, without its secret."""
        return Response(as_json(_shown(hooks.get(uid_of(request), webhook_id))))

    @extend_schema(
        request=ChangedWebhook,
        responses={200: WebhookShown, 404: Detail, 409: Detail, 422: Detail},
        description="Switched off, what waits is not sent; on again, it hears what happens from then on.",
    )
    def partial_update(self, request: Request, webhook_id: str) -> Response:
        """Change the fields of a webhook that are given."""
        given = body(ChangedWebhook, request)
        changed = hooks.change(
            uid_of(request), webhook_id, url=given.url, kinds=given.kinds, active=given.active,
            fence=fence_of(request),
        )  # fmt: skip
        return Response(as_json(_shown(changed)))

    @extend_schema(responses={204: None, 404: Detail})
    def destroy(self, request: Request, webhook_id: str) -> Response:
        """Remove a webhook with its deliveries."""
        hooks.delete(uid_of(request), webhook_id)
        return Response(status=204)

    @extend_schema(
        request=None,
        responses={200: WebhookWithSecret, 404: Detail},
        description="A new secret, shown here and never again. For a day messages are signed with both.",
    )
    def rotate(self, request: Request, webhook_id: str) -> Response:
        """Give the webhook a new secret."""
        hook, secret = hooks.rotate(uid_of(request), webhook_id)
        return _with_secret(hook, secret)

    @extend_schema(
        request=None,
        responses={200: DeliveryShown, 404: Detail, 409: Detail},
        description="Queues a message of the kind `webhook.test`, sent within about a minute. 409: it is switched off.",
    )
    def test(self, request: Request, webhook_id: str) -> Response:
        """Queue a message to try the receiver with."""
        return Response(as_json(_delivery(hooks.send_test(uid_of(request), webhook_id))))

    @extend_schema(parameters=parameters(DeliveriesQuery), responses={200: DeliveryList, 404: Detail, 422: Detail})
    def deliveries(self, request: Request, webhook_id: str) -> Response:
        """The delivery log of the last seven days, newest first."""
        asked = query(DeliveriesQuery, request)
        found = hooks.deliveries(uid_of(request), webhook_id, before=asked.before, limit=asked.limit)
        return Response([as_json(_delivery(item)) for item in found])

    @extend_schema(
        request=None,
        responses={200: DeliveryShown, 404: Detail, 409: Detail},
        description="Sends a delivery again that ended, with the same id. 409: it still waits, or the webhook is off.",
    )
    def resend(self, request: Request, webhook_id: str, number: int) -> Response:
        """Let a delivery be tried for another day."""
        again = hooks.send_again(uid_of(request), webhook_id, min(number, 2**53))
        return Response(as_json(_delivery(again)))


def _fields(hook: Webhook) -> dict[str, Any]:
    own = ("id", "url", "kinds", "active", "failing_since", "created_at")
    more = {"off_reason": hook.off_reason or None, "previous_secret_until": hook.previous_until}
    return {**{name: getattr(hook, name) for name in own}, **more}


def _shown(hook: Webhook) -> WebhookShown:
    return WebhookShown(**_fields(hook))


def _with_secret(hook: Webhook, secret: str) -> Response:
    shown = as_json(WebhookWithSecret(**_fields(hook), secret=secret))
    return Response(shown, headers={"Cache-Control": "no-store"})


def _delivery(row: WebhookDelivery) -> DeliveryShown:
    plain = ("number", "message_id", "kind", "state", "tries", "created_at", "tried_at", "status_code", "milliseconds")
    waits = row.state == WebhookDelivery.State.WAITING
    return DeliveryShown(
        **{name: getattr(row, name) for name in plain},
        memory_id=row.memory_id or None,
        next_at=row.next_at if waits else None,
        error=row.error or None,
    )
