"""Webhooks: what happened to a user's memories, told to addresses that the user chose (docs/webhooks.md)."""
