"""The live socket of a browser."""

from __future__ import annotations

from transcription.listen.consumer import ListenConsumer


class WebListenConsumer(ListenConsumer):
    """Serves ``/v4/web/listen``: the browser's path; segments are whole and replace those with the same id."""

    web = True
