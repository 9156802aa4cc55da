"""Places for costly work: never more than allowed, waiting is bounded, and nothing is lost by who leaves badly."""

from __future__ import annotations

import threading
import time

import pytest

from omi.core.slots import Busy, Kept, Slots


def test_a_user_has_so_many_places_and_all_together_so_many() -> None:
    slots = Slots("streams", 60)
    mine = [slots.take("ana", per_user=2, in_all=3) for _ in range(3)]
    assert [slot is not None for slot in mine] == [True, True, False]
    assert slots.take("ben", per_user=2, in_all=3) is not None
    assert slots.take("eve", per_user=2, in_all=3) is None
    assert mine[0] is not None
    mine[0].leave()
    mine[0].leave()  # twice is once
    assert slots.take("eve", per_user=2, in_all=3) is not None
    assert slots.take("ana", per_user=2, in_all=3) is None


def test_a_place_that_nobody_leaves_is_free_again_after_its_time() -> None:
    slots = Slots("streams", -1.0)
    assert slots.take("ana", per_user=1, in_all=1) is not None
    assert slots.take("ana", per_user=1, in_all=1) is not None


def test_an_error_inside_gives_the_place_back() -> None:
    slots = Slots("recordings", 60)
    with pytest.raises(ValueError, match="broken"), slots.held("ana", per_user=1, in_all=1):
        raise ValueError("broken")
    with slots.held("ana", per_user=1, in_all=1):
        pass


def test_twenty_four_at_once_are_two_at_a_time_and_four_who_wait() -> None:
    slots, guard = Slots("recordings", 60), threading.Lock()
    at_work = most = 0
    told: list[str] = []
    let_go = threading.Event()

    def work() -> None:
        nonlocal at_work, most
        try:
            with slots.held("ana", per_user=2, in_all=4, patience=60, may_wait=4):
                with guard:
                    at_work += 1
                    most = max(most, at_work)
                let_go.wait(60)
                with guard:
                    at_work -= 1
                told.append("done")
        except Busy as error:
            told.append("busy" if error.seconds > 0 else "busy for ever")

    threads = [threading.Thread(target=work) for _ in range(24)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 30
    while told.count("busy") < 18 and time.monotonic() < until:
        time.sleep(0.01)
    assert told == ["busy"] * 18
    let_go.set()
    for thread in threads:
        thread.join(30)
    assert (most, told.count("done")) == (2, 6)


def test_who_waits_too_long_is_told() -> None:
    slots = Slots("recordings", 60)
    with slots.held("ana", per_user=1, in_all=1):  # noqa: SIM117  the second is refused within the first
        with pytest.raises(Busy), slots.held("ben", per_user=1, in_all=1, patience=0.05, may_wait=1):
            pass


def test_a_place_that_is_kept_is_given_back_once_and_with_whoever_holds_it() -> None:
    slots = Slots("things", seconds=60)
    kept = Kept(slots.held("ana", per_user=1, in_all=2))
    with pytest.raises(Busy):
        Kept(slots.held("ana", per_user=1, in_all=2))
    kept.close()
    kept.close()
    held = [Kept(slots.held("ana", per_user=1, in_all=2))]
    assert slots.take("ana", per_user=1, in_all=2) is None
    held.clear()  # nobody closed it
    assert slots.take("ana", per_user=1, in_all=2)
