"""Rows of webhooks: where a user wants to be told, and what is or was told there."""

from __future__ import annotations

from django.db import models


class Webhook(models.Model):
    """One address of a user. ``cursor`` is the number of the last event of the log that was looked at for it."""

    id = models.CharField(max_length=40, primary_key=True)
    uid = models.CharField(max_length=128)
    url = models.CharField(max_length=1024)
    kinds = models.JSONField(default=list)
    active = models.BooleanField(default=True)
    off_reason = models.CharField(max_length=16, blank=True, default="")
    secret = models.TextField(help_text="encrypted with the secret key")
    previous_secret = models.TextField(blank=True, default="")
    previous_until = models.DateTimeField(null=True, blank=True)
    cursor = models.PositiveBigIntegerField(default=0)
    last_number = models.PositiveBigIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0, help_text="tries that failed since the last that did not")
    failing_since = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid", "url"], name="memories_webhook_once")]
        indexes = [models.Index(fields=["active", "uid"], name="memories_webhook_active")]

    def __str__(self) -> str:
        return f"{self.uid} {self.id}"


class WebhookDelivery(models.Model):
    """One message for one address. ``body`` holds ids and links, never words, and is the same at every try."""

    class State(models.TextChoices):
        """Whether a delivery is still tried."""

        WAITING = "waiting"
        DELIVERED = "delivered"
        FAILED = "failed"

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    number = models.PositiveBigIntegerField()
    message_id = models.CharField(max_length=80)
    kind = models.CharField(max_length=64)
    memory_id = models.CharField(max_length=128, blank=True, default="")
    body = models.TextField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    tries = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    give_up_at = models.DateTimeField()
    next_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True, blank=True)
    status_code = models.PositiveIntegerField(null=True, blank=True)
    error = models.CharField(max_length=64, blank=True, default="")
    milliseconds = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["webhook", "number"], name="memories_delivery_number"),
            models.UniqueConstraint(fields=["webhook", "message_id"], name="memories_delivery_once"),
        ]
        indexes = [
            models.Index(fields=["state", "next_at"], name="memories_delivery_due"),
            models.Index(fields=["created_at"], name="memories_delivery_age"),
            models.Index(fields=["memory_id"], name="memories_delivery_memory"),
        ]

    def __str__(self) -> str:
        return f"{self.webhook_id} #{self.number} {self.kind}"
