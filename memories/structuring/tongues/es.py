"""Spanish."""

from __future__ import annotations

from datetime import time

from memories.structuring.tongues.base import Tongue, compiled, either

_UNITS = """
cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete dieciocho
diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete veintiocho veintinueve
treinta
""".split()
NUMBERS = {
    **{word: value for value, word in enumerate(_UNITS)},
    "un": 1, "una": 1, "primero": 1, "cuarenta": 40, "cincuenta": 50,
}  # fmt: skip
_CARDINAL = rf"(?:\d{{1,4}}|treinta y uno|{either(NUMBERS)})"
WEEKDAYS = {
    "lunes": 0, "martes": 1, "miércoles": 2, "miercoles": 2, "jueves": 3, "viernes": 4, "sábado": 5, "sabado": 5,
    "domingo": 6,
}  # fmt: skip
MONTHS = {
    "enero": 1, "febrero": 2, "marzo": 3, "abril": 4, "mayo": 5, "junio": 6, "julio": 7, "agosto": 8, "septiembre": 9,
    "setiembre": 9, "octubre": 10, "noviembre": 11, "diciembre": 12,
}  # fmt: skip
WORDS = {"pasado mañana": 2, "mañana": 1, "hoy": 0, "esta noche": 0}
_INFINITIVE = r"\w{2,}(?:ar|er|ir|ír)(?:me|te|le|lo|la|les|los|las|nos|se|selo|melo|telo)?\b"
_IMPERATIVES = """
llama llame manda mande envía envíe compra compre pide pida pregunta pregunte trae traiga prepara prepare reserva reserve
escribe escriba revisa revise lleva lleve paga pague recoge recoja avisa avise toma tome busca busque apunta apunte
confirma confirme cambia cambie llámame llámale mándame mándale envíame envíale tráeme dile dígale
""".split()

SPANISH = Tongue(
    code="es",
    numbers=NUMBERS,
    date=compiled(
        r"\b(?P<lead>(?:(?:para el|antes del|hasta el|desde el|para|antes de|hasta|desde|el|este|del|al|los|todos los|cada) )?)"
        r"(?:(?P<which>próximo|pasado|este|cada) )?"
        rf"(?:(?P<weekday>{either(WEEKDAYS)})\b"
        rf"|(?P<day>{_CARDINAL}) de (?P<month>{either(MONTHS)})\b(?: (?:de |del )?(?P<year>20\d\d))?"
        r"|(?P<iso>20\d\d-\d\d-\d\d)"
        r"|(?P<word>pasado mañana|(?<!la )(?<!esta )mañana|hoy|esta noche|ayer|anoche)\b"
        rf"|(?P<span>en|dentro de) (?P<count>(?:media|{_CARDINAL}))"
        r" (?P<unit>minuto|hora|día|semana|mes|año)(?:s|es)?\b)(?: (?P<after>que viene|próximo|pasado))?"
    ),
    deadlines=frozenset({"para el", "antes del", "hasta el", "para", "antes de", "hasta"}),
    since=frozenset({"desde", "desde el"}),
    following=frozenset({"próximo", "que viene"}),
    skipped=frozenset({"pasado", "cada", "todos los"}),
    weekdays=WEEKDAYS,
    months=MONTHS,
    words=WORDS,
    units={"minuto": "minute", "hora": "hour", "día": "day", "semana": "week", "mes": "month", "año": "year"},
    clocks=(
        compiled(
            rf"\b(?:a|sobre|hacia) las? (?P<hour>{_CARDINAL}) (?P<relation>y media|y cuarto|menos cuarto|y diez|y veinte|menos diez)\b"
        ),
        compiled(r"\b(?:(?:a|sobre|hacia) las? )?(?P<hour>\d{1,2})[:.](?P<minute>\d\d)\b"),
        compiled(rf"\b(?:a|sobre|hacia) las? (?P<hour>{_CARDINAL})\b"),
        compiled(r"\b(?:al? )(?P<named>mediodía|medianoche)\b"),
    ),
    relations={"y media": 30, "y cuarto": 15, "menos cuarto": -15, "y diez": 10, "y veinte": 20, "menos diez": -10},
    halves={},
    named={"mediodía": time(12), "medianoche": time(0)},
    part=compiled(r"\b(?:(?:de|por|en) la |esta )(?P<part>mañana|tarde|noche)\b"),
    parts={"mañana": (time(9), "am"), "tarde": (time(16), "pm"), "noche": (time(20), "pm")},
    period=compiled(
        r"\b(?:antes de |para |a )?(?:el )?(?:final(?:es)?|fin) (?:de |del )(?:la |este |esta )?(?P<end>semana|mes|día|año)\b"
        r"|\b(?P<whole>esta|este|la próxima|el próximo) (?P<what>semana|mes)\b"
    ),
    periods={"semana": "week", "mes": "month", "día": "day", "año": "year"},
    lasts=compiled(rf"\bdurante (?P<count>media|{_CARDINAL}) (?P<unit>hora|minuto)s?\b"),
    evening=compiled(r"\b(?:cena|cenar|noche|tarde|concierto|fiesta|cine)\b"),
    commitment=compiled(
        r"\b(?P<who>voy|vamos|tengo|tenemos|debo|debemos|necesito|necesitamos|hay|puedo|prometo)(?: (?:a|que))? "
        r"(?:también |además )?(?P<what>(?:\w+(?:ar|er|ir|ír)).*)"
    ),
    request=compiled(
        r"(?:\b(?:puedes|podrías|puede|podría|tienes que|tiene que|debes|debe|deberías|debería)(?: por favor,?)?"
        r"|\bno (?:te olvides|se olvide|olvides|olvide)(?: de)?|\b(?:recuerda|recuerde|acuérdate de|acuérdese de)|\brecuérdame(?: que tengo que)?"
        r")(?: también)? (?P<what>(?:\w+(?:ar|er|ir|ír)).*)"
        rf"|\bpor favor,? (?:no (?:te olvides|se olvide) de )?(?P<what2>(?:{'|'.join(_IMPERATIVES)}|\w+(?:ar|er|ir))\b.*)"
        rf"|^(?P<what3>(?:{'|'.join(_IMPERATIVES)})\b.*)(?=,? por favor)"
    ),
    remind_me=compiled(r"\brecuérdame "),
    task=compiled(rf"(?:{'|'.join(_IMPERATIVES)})\b|{_INFINITIVE}"),
    idle=compiled(
        r"(?:ser|estar|ver|decir|decirte|saber|ir|tener|poder|pensar|creer|haber|esperar|hablar|irme|irnos|explicar|empezar|entender|vernos|verme)\b"
    ),
    unreal=compiled(
        r"\b(?:si|quizás?|tal vez|a lo mejor|no (?:voy|vamos|tengo|puedo|quiero|hay|debo)|nunca|debería haber"
        r"|(?:cómo|por qué|qué|quién|cuál|dónde) (?:puedes?|podrías?))\b"
    ),
    reasons=compiled(r",? (?:porque|para que|ya que|así que|pero)\b.*"),
    pronouns=frozenset("lo la los las eso esto le les".split()),
    accepts=compiled(
        r"(?:sí|claro|vale|por supuesto|de acuerdo|bueno|perfecto|muy bien|está bien|lo haré|yo me encargo)\b"
    ),
    verb_last=False,
    alone=compiled(r"voy|tengo|debo\b|necesito\b|puedo|prometo"),
    past=compiled(r"\b(?:fue|fueron|era|ayer|anoche|pasad[oa]s?|tuve|tuvimos|estuve|estuvo|hubo|hice|fui)\b"),
    cancelled=compiled(r"\b(?:cancelad[oa]|se canceló|no|quizás?|tal vez|si)\b"),
    happening=compiled(
        r"\b(?:reunión|cita|cena|comida|almuerzo|cumpleaños|boda|fiesta|examen|entrevista|concierto|clase|vuelo|tren|partido|viaje"
        r"|conferencia|consulta|operación|funeral|excursión|reunirnos|quedamos|quedar|volamos|vuelo|taller|entrenamiento)\b"
    ),
    happening_at_a_clock=compiled(r"\b(?:autobús|película|visita|empieza|sale|llega|técnico|entrega)\b"),
    hour_long=compiled(r"\b(?:reunión|cita|cena|comida|almuerzo|entrevista|clase|fiesta)\b"),
    links=frozenset("con de del en para a al sobre la el los las mi tu su".split()),
    breaks=frozenset("y pero porque que es son está sale llega empieza a será cuando donde si o".split()),
    edges=frozenset(
        "un una el la los las mi tu su nuestra nuestro tengo tenemos hay es el en a de y pues bueno vale para con que".split()
    ),
    determiners=frozenset(
        "el la los las un una unos unas mi mis tu tus su sus nuestra nuestro esta este del al".split()
    ),
    verbs=frozenset("es son está están sube sale llega tiene puede cuesta va era fue más".split()),
    introduces=compiled(r"\b(?:me llamo|mi nombre es|soy) (?P<name>(?-i:[A-ZÁÉÍÓÚ])[\w'-]+)"),
    clause=compiled(
        r"(?:[,;:]|(?<=[a-záéíóúñ0-9])(?= (?:y|pero|entonces|así que) )) ?(?=(?:(?:y|pero|entonces|sí|vale|bueno|claro) )*"
        r"(?:yo|tú|él|ella|voy|vamos|tengo|tenemos|hay|puedes|podrías|por favor|no te|no se|recuerda|recuérdame|el|la|debo|necesito|necesitamos|mi|nos|te|me)\b)"
    ),
    fillers=compiled(r", (?:eh+|em+|este|o sea|pues),(?= )|(?:(?<=^)|(?<= ))(?:eh+|em+|o sea)(?:,|\b)(?: |$)"),
    corrections=compiled(
        r"(?<![ ,.;—–-])[ ,.;—–-]++(?:no,? espera|no,? perdón|mejor dicho)[ ,.;—–-]+|[,.;—–-] ?(?:perdón|digo|quiero decir|no) ?[,;—–-] ?"
    ),
    hedges=frozenset("como pues bueno este o sea eh em no sí así tipo digamos".split()),
    asks=compiled(
        r"¿|(?:(?:y|pero|entonces|bueno|pues),? )*(?:quién|quiénes|qué|cuál|cuáles|cuándo|dónde|adónde|cómo|cuánto|cuánta|cuántos|cuántas|por qué)\b"
    ),
    personal=compiled(
        r"\b(?:yo|me|mí|mi|mis|nos|nosotros|nuestr\w+|tú|te|ti|tu|tus|usted|ustedes|voy|vamos|tengo|tenemos|estoy|debo|puedes|puede|tienes|quiero)\b"
    ),
)
