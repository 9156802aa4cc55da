"""What Django-Q2 calls. Ids only; everything else is in the rows."""

from __future__ import annotations

from django.utils import timezone


def wake(run_id: int) -> str:
    from memories.pipeline import runner

    return runner.work(run_id)


def reconcile() -> dict[str, float]:
    from memories.pipeline import reconcile as module

    return module.reconcile().as_dict()


def beat(name: str, number: int) -> None:
    """Proof that a message travels from the queue through the pusher to a worker (``manage.py serve`` looks)."""
    from memories.pipeline.models import ClusterBeat

    now = timezone.now()
    if not ClusterBeat.objects.filter(name=name).update(number=number, at=now):
        ClusterBeat.objects.update_or_create(name=name, defaults={"number": number, "at": now})
