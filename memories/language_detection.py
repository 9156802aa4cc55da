"""Which language a text is written in, by its commonest small words. A guess, for languages that share a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LEAST_WORDS: Final = 15
SHARE: Final = 0.2
"""Of the words. English read out (LibriSpeech): 0.24 at the least, 0.43 in the middle; what the bundled engine hears of
it with 65 % word errors: 0.27 and 0.45. One sentence of each of the others, made up for the tests: 0.32 to 0.6."""
RIVAL: Final = 0.6
"""Neighbours (Danish and Norwegian, Spanish and Portuguese) share small words: then nothing is said."""

_WORDS: Final = {
    "en": "the and to of a in is it you that he she was for on are with they be at this have from or had by but what we"
    " can i not were your an there their if will my would so his her our do did has been them as me just don't it's",
    "de": "der die das und ist in zu den nicht von sie mit es dem des ein eine einen einer auf für ich wir auch sich so"
    " dass er hat aus bei wie oder aber wenn noch nur werden war haben kann ob doch schon man uns mir mich dir du ihr",
    "fr": "le la les de des et un une est à en que qui dans pour pas ne sur ce il elle je vous nous avec on au du mais"
    " ou se par plus cette sont mes tes ses votre notre comme tout ça c'est j'ai qu'il leur même bien très aux y être",
    "es": "el la los las de y que en un una es por con para no se lo su al del como más pero sus le ya o este sí porque"
    " esta cuando muy sin sobre también me hasta hay donde quien nos yo eso ella él esto mi qué está estoy tengo vamos",
    "it": "il lo la gli le di e che un una è per in con non si da del della dei come più ma sono mi ti ci ho ha anche"
    " se io questo questa al alla nel nella perché quando molto bene cosa tutto noi lui lei mio sua suo dobbiamo era",
    "pt": "o a os as de e que em um uma é por com para não se do da dos das no na como mais mas foi ao ele ela eu você"
    " isso este esta muito também já ou quando nós seu sua meu minha está pelo pela até sem são tem vamos porque lá",
    "nl": "de het een en van in is dat op te zijn met niet voor er aan ook als maar om hij zij we wij ik je jij die dit"
    " bij naar nog wel uit kan dan of over deze heeft hebben wat moet geen mijn jouw ons onze wordt waar hier heb ben",
    "sv": "och att det i en är som på för med av den till inte jag vi du har om ett men de var sig så kan man när hon"
    " han från ska vara nu också där vill efter mig dig eller hur vad här alla mycket skulle mitt din oss någon måste",
    "da": "og at det i en er som på for med af den til ikke jeg vi du har om et men de var sig så kan man når hun han"
    " fra skal være nu også der vil efter mig dig eller hvor hvad her alle meget skulle mit din os noget nogen bliver",
    "no": "og at det i en er som på for med av den til ikke jeg vi du har om et men de var seg så kan man når hun han"
    " fra skal være nå også der vil etter meg deg eller hvor hva her alle mye skulle mitt din oss noe noen blir må",
    "fi": "ja on ei se että oli en mutta niin kun hän joka ole myös kuin tai minä sinä me te he tämä sen mitä nyt vain"
    " jos ovat sitten olen mitään minun sinun voi pitää siitä kanssa jo vielä kaikki hyvin sitä siellä mun ois onko",
    "pl": "i w nie na to się z że do jest jak o a co ale po tak za od czy tym już dla może ja ty on ona my był była go"
    " mi mnie są jego jej tylko bardzo ten ta te tego gdy kiedy więc przez będzie jeszcze też trzeba mam masz przy",
    "cs": "a je se v na to že si jsem s o do z i jak ale tak by za co jsme pro po když jen už od nebo není být bude já"
    " ty my byl byla jeho její mi mě jako také ještě tady teď který která protože jsou máme musíme kde ten ta tím",
    "tr": "bir ve bu da de için ne o ben sen biz çok daha mi mı var yok ile gibi ama olarak değil şey kadar sonra en"
    " her ki bana sana şimdi oldu olan ya diye iyi benim senin nasıl evet hayır çünkü zaman onu bunu böyle",
    "ro": "și de la în a cu nu pe că este un o mai din să se care pentru am ai sunt ce dar el ea eu noi dacă fi au era"
    " după foarte doar când unde acum tot lui ei mea ta sau prin până fost ne te îmi trebuie cum ar",
    "hu": "a az és hogy nem is egy van meg ez de ha csak már mint el ki ezt azt én te mi ők vagy most még lesz volt"
    " nagyon itt ott kell lehet mert akkor ezek minden jó vannak hogyan majd nekem neked így úgy",
    "id": "yang dan di ini itu dengan untuk tidak ada dari saya kamu kita akan ke sudah bisa dia pada juga atau kami"
    " mereka apa karena aku lagi saja kalau seperti belum harus tapi jadi mau oleh sangat adalah dalam lebih nya",
    "ru": "и в не на что я с он как это но по а к из у за то же ты мы вы она они так от бы для был была было его её мне"
    " меня есть уже если или только вот когда даже надо чтобы нет где ещё всё очень там тебе нам быть",
    "uk": "і в не на що я з він як це але по а до із у за то ж ти ми ви вона вони так від би для був була було його її"
    " мені мене є вже якщо або тільки ось коли навіть треба щоб немає де ще все дуже там тобі нам бути та й",
    "bg": "и в не на че аз с той като това но по а към от у за то ти ние вие тя те така би да е са съм беше бяха му си"
    " ми има вече ако или само ето кога дори трябва няма къде още всичко много там ще се какво как до",
}  # fmt: skip
FUNCTION_WORDS: Final = {code: frozenset(text.split()) for code, text in _WORDS.items()}


def written_in(words: Sequence[str]) -> str | None:
    """Code of the language that ``words`` (lower case) are written in; None where there are too few, where it is none
    of these or where it could be two."""
    if len(words) < LEAST_WORDS:
        return None
    counts = sorted(
        ((sum(word in small for word in words), code) for code, small in FUNCTION_WORDS.items()), reverse=True
    )
    (most, code), (second, _) = counts[:2]
    return code if most >= SHARE * len(words) and second <= RIVAL * most else None
