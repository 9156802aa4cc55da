"""A reminder is kept, in whatever language and with whatever apostrophe it was written down."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memories.structuring.base import StructureRequest
from memories.structuring.discard import must_keep
from memories.structuring.reminders import asks_to_be_reminded
from transcription.segments import Segment

KEPT = [
    "don't forget the milk", "Don\u2019t forget the milk", "don\u02bct let me forget", "remember to get milk",
    "set an alarm for nine", "Set a timer", "milk, tomorrow at nine, put it on my list", "wake me at six",
    "erinnere mich an die Milch", "Vergiss bitte die Milch nicht", "Milch nicht vergessen", "stell den Wecker auf neun",
    "N\u2019oublie pas le lait", "n'oublie pas le lait", "rappelle-moi d'appeler", "il ne faut pas oublier le pain",
    "recuérdame llamar a mamá", "recue\u0301rdame llamar", "no te olvides de la leche", "pon una alarma a las nueve",
    "me lembra de ligar", "não te esqueças do leite", "ricordami di chiamare", "non dimenticare il latte",
    "herinner me eraan om melk te kopen", "vergeet de melk niet", "zet een wekker om negen uur",
    "påminn mig om mjölken", "glöm inte mjölken", "husk at købe mælk", "husk å kjøpe melk",
    "muistuta minua maidosta", "älä unohda maitoa", "przypomnij mi o mleku", "nie zapomnij o mleku",
    "připomeň mi mléko", "nezapomeň na mléko", "amintește-mi să sun", "nu uita laptele",
    "emlékeztess a tejre", "bana hatırlat", "süt almayı unutma", "ingatkan saya", "đừng quên mua sữa",
    "Напомни мне позвонить маме", "не забудь молоко", "Поставь будильник на девять", "нагадай мені про молоко",
    "напомни ми за млякото", "θύμισέ μου το γάλα", "μην ξεχάσεις το γάλα",
    "ママに電話するのを思い出させて", "牛乳を忘れないで", "アラームをセットして", "提醒我给妈妈打电话", "别忘了买牛奶",
    "우유 사는 거 알려줘", "우유 잊지 마", "อย่าลืมซื้อนม", "मुझे दूध की याद दिलाना", "ذكرني أن أتصل بأمي", "לא לשכוח חלב",
]  # fmt: skip
JUDGED = [
    "yes okay thank you", "the weather is nice today", "guten Morgen", "bonjour à tous", "buenos días",
    "hij is er niet", "доброе утро", "こんにちは", "你好", "안녕하세요", "he forgot it",
]  # fmt: skip


def talk(text: str) -> StructureRequest:
    return StructureRequest(segments=[Segment(text=text, start=0, end=2)], started_at=datetime.now(UTC))


@pytest.mark.parametrize("text", KEPT)
def test_a_reminder_is_kept_in_any_language(text: str) -> None:
    """The original knew them in six languages, and only with a straight apostrophe."""
    assert must_keep(talk(text)) == "a reminder"


@pytest.mark.parametrize("text", JUDGED)
def test_small_change_is_judged(text: str) -> None:
    assert not asks_to_be_reminded(text)
    assert must_keep(talk(text)) == ""
