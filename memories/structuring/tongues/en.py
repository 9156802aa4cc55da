"""English."""

from __future__ import annotations

from datetime import time

from memories.structuring.spoken_numbers import CARDINAL, ENGLISH, ORDINAL
from memories.structuring.tongues.base import Tongue, compiled, either

WEEKDAYS = {
    "monday": 0, "tuesday": 1, "wednesday": 2, "thursday": 3, "friday": 4, "saturday": 5, "sunday": 6,
}  # fmt: skip
MONTHS = {
    "january": 1, "february": 2, "march": 3, "april": 4, "may": 5, "june": 6, "july": 7, "august": 8, "september": 9,
    "october": 10, "november": 11, "december": 12,
}  # fmt: skip
WORDS = {"day after tomorrow": 2, "tomorrow": 1, "today": 0, "tonight": 0}
_COUNT = rf"(?:half an|an?|{CARDINAL})(?: and a half)?"

_TASK = """
add announce answer apply arrange ask assign attach back blow book bring buy call cancel change charge check
choose clean clear collect compare complete confirm contact cook copy correct cut decide deliver deploy design
document download draft draw drive email escalate exchange fetch file fill find finish fix follow forward
get give hand hang help hire include inform install invite invoice issue list look mail make measure merge message
note notify open order organise organize pack paint pay phone pick plan post practice practise prepare present
print process proofread publish pull push put read rebook record refund register reinstall remind remove renew rent
repair replace reply report request research reschedule reserve reset restart return review revise ring rotate
save scan schedule search sell send set share ship sign sort study submit swap switch take
test text tidy track transfer translate update upgrade upload visit wash water work wrap write
""".split()

ENGLISH_TONGUE = Tongue(
    code="en",
    numbers=ENGLISH,
    date=compiled(
        r"\b(?P<lead>(?:(?:on|by|until|till|before|for|from|since|after) )?)(?:the )?"
        rf"(?:(?P<which>next|this|coming|last|past|every|each) )?(?:(?P<weekday>{either(WEEKDAYS)})(?!s)\b"
        rf"|(?:the )?(?P<day>{ORDINAL}|\d{{1,2}}) (?:of )?(?P<month>{either(MONTHS)})\b(?:,? (?P<year>20\d\d))?"
        rf"|(?P<month2>{either(MONTHS)}) (?:the )?(?P<day2>{ORDINAL}|\d{{1,2}})(?!\d)(?:,? (?P<year2>20\d\d))?"
        r"|(?P<iso>20\d\d-\d\d-\d\d)"
        rf"|(?P<word>{either(WORDS)}|yesterday)\b"
        rf"|(?P<span>in|within) (?P<count>{_COUNT}) (?P<unit>minute|hour|day|week|month|year)s?\b(?:' time)?(?P<more> and a half)?)"
    ),
    deadlines=frozenset({"by", "until", "till", "before"}),
    since=frozenset({"from", "since", "after"}),
    following=frozenset({"next"}),
    skipped=frozenset({"last", "past", "every", "each"}),
    weekdays=WEEKDAYS,
    months=MONTHS,
    words=WORDS,
    units={"minute": "minute", "hour": "hour", "day": "day", "week": "week", "month": "month", "year": "year"},
    clocks=(
        compiled(
            rf"\b(?:(?:at|around|about|by|before|from) )?(?P<relation>half past|quarter past|quarter to|ten past"
            rf"|ten to|twenty past|twenty to|five past|five to) (?P<hour>{CARDINAL})\b"
        ),
        compiled(
            r"\b(?:(?:at|around|about|by|before|from) )?(?P<hour>\d{1,2})[:.](?P<minute>\d\d)\b"
            r"(?: ?(?P<half>[ap]\.?m\b\.?))?"
        ),
        compiled(
            rf"\b(?:(?:at|around|about|by|before|from) )?(?P<hour>{CARDINAL})(?: (?P<minute>{CARDINAL}))? ?"
            r"(?P<half>[ap]\.?m\b\.?|o'? ?clock\b)"
        ),
        compiled(r"\b(?:(?:at|around|by|before) )?(?P<named>noon|midday|midnight)\b"),
        compiled(
            rf"\b(?:at|around|before|by) (?P<hour>{CARDINAL})(?: (?P<minute>fifteen|thirty|forty[ -]five))?\b"
            r"(?! ?(?:%|percent|dollars|euros|pounds|people|degrees|years|days|weeks|hours|minutes|times|per|of|[\d,]))"
        ),
        compiled(rf"\b(?P<hour>{CARDINAL})(?= in the (?:morning|afternoon|evening)\b)"),
    ),
    relations={
        "half past": 30,
        "quarter past": 15,
        "quarter to": -15,
        "ten past": 10,
        "ten to": -10,
        "twenty past": 20,
        "twenty to": -20,
        "five past": 5,
        "five to": -5,
    },
    halves={"a": "am", "p": "pm"},
    named={"noon": time(12), "midday": time(12), "midnight": time(0)},
    part=compiled(r"\b(?:in the |this |at )?(?P<part>morning|afternoon|evening|night|tonight)\b(?! shift)"),
    parts={
        "morning": (time(9), "am"),
        "afternoon": (time(15), "pm"),
        "evening": (time(19), "pm"),
        "night": (time(20), "pm"),
        "tonight": (time(20), "pm"),
    },
    period=compiled(
        r"\b(?:by |before |at |until )?(?:the )?end of (?:the |this )?(?P<end>day|week|month|year)\b"
        r"|\b(?P<whole>this|next|the coming) (?P<what>week|month)\b"
    ),
    periods={"day": "day", "week": "week", "month": "month", "year": "year"},
    lasts=compiled(
        rf"\bfor (?:about |around )?(?P<count>half an|an?|{CARDINAL}) (?P<unit>hour|minute)s?\b(?P<more> and a half)?"
    ),
    evening=compiled(r"\b(?:dinner|supper|evening|tonight|night|afternoon|party|drinks|movie|concert)\b"),
    commitment=compiled(
        r"\b(?P<who>i|we|let's)(?:(?:'ll| will| am going to|'m going to| are going to|'re going to| am gonna"
        r"|'m gonna|'re gonna| need to| have to| must| should| promise to|'ve got to| have got to| got to| gotta"
        r"| can| still have to| still need to| shall)(?= )|(?<=let's))"
        r"(?: (?:also|just|then|definitely|quickly|really|personally|probably|first|go ahead and|try to|make sure to"
        r"|make sure that we|make sure we))* (?P<what>.+)"
    ),
    request=compiled(
        r"(?:\bplease(?: (?:do not|don't) forget to| remember to)?|\b(?:do not|don't) forget to|\bremember to"
        r"|\bremind me to|\bmake sure (?:to|you|that you)|\b(?:can|could|would|will) (?:you|somebody|someone|anybody|anyone)(?: please| just| also| maybe)*"
        r"|\byou(?:'ll)?(?: also| just| really)?(?: need to| have to| must| should|'ve got to)"
        r"|\bwould you mind)"
        r"(?: (?:also|just|then|please|definitely|try to))* (?P<what>.+)"
    ),
    remind_me=compiled(r"\bremind me to "),
    task=compiled(
        rf"(?:(?:go|come)(?: and| over and)? )?(?:(?:{'|'.join(_TASK)})(?:ing)?|(?:talk|speak|explain (?:it|this)) (?:to|with)"
        r"|do (?:it|that|this|so)|start on|stop (?:by|taking)|turn (?:on|off|in)|drop (?:off|by)|pick|move|run|keep (?:a|the)|show \w+ how)\b"
    ),
    idle=compiled(
        r"(?:not|never|be|have|see|remember|know|think|hope|guess|like|love|say|miss|agree|wait|look forward|hear|feel"
        r"|forget|take care|take a (?:seat|look)|excuse|repeat|believe|imagine|understand|admit|go now|keep (?:that|it) in mind|ask you"
        r"|tell you|show you how|get back to work|get going|try$|start with|give you an example|speak for|talk about|turn to"
        r"|explain|let you|get (?:it|that|there|better|worse|used|started|home)$|make it\b|make sense|run out|run late|stop there|put it"
        r"|work (?:it|that) out|keep (?:going|quiet|it (?:short|brief))|move on|take that|get to that|read (?:it|that) as"
        r"|look (?!(?:at|for|into|after|up|over|through|around|out)\b)|look at the bright side|change the world|follow \w+ heart"
        r"|give \w+ (?:credit|(?:a|one|another|half a) (?:second|sec|minute|moment|break|chance)\b)"
        r"|(?:sort|pick|pull) (?:my|your|our|them)sel(?:f|ves)\b)\b"
    ),
    unreal=compiled(
        r"\b(?:if|unless|whether|when i was|maybe|perhaps|might|wish|in case|would have|should have|could have"
        r"|supposed to have|used to|(?:will|should|must|can|do|need to|have to|going to) (?:not|never)(?! forget)|won't|can't|cannot|shouldn't|don't (?:need|have|want)"
        r"|didn't|wouldn't|couldn't|have to say|must say|must admit|has to|no need"
        r"|(?:why|how|what|who|which|where) (?:can|could|would|will) (?:you|somebody|someone|anybody|anyone))\b"
    ),
    reasons=compiled(
        r",? (?:because|since|so that|as soon as you|and then we'll|and see|but|that's|which|so i|so we|so you)\b.*"
    ),
    pronouns=frozenset("it them that this those these one".split()),
    accepts=compiled(
        r"(?:(?:um|uh|oh|well|and) )?(?:yes|yeah|yep|sure|okay|ok|of course|will do|no problem|absolutely|i will|i'll"
        r"|i can|got it|all right|alright|right|consider it done|definitely|certainly|on it)\b"
    ),
    verb_last=False,
    alone=compiled(r"i\b"),
    past=compiled(r"\b(?:was|were|had|did|went|met|came|saw|spoke|called|yesterday|last|ago|used to|missed)\b"),
    cancelled=compiled(
        r"\b(?:cancel(?:led|ed)?|no (?:meeting|class|lesson|appointment|training)|not|can't|cannot|won't|don't|isn't"
        r"|instead of|called off|if|maybe|might|would)\b"
    ),
    happening=compiled(
        r"\b(?:meet|meeting|appointment|check-?up|train|flight|plane|birthday|party|dinner|lunch|breakfast|exam|midterm|interview"
        r"|concert|wedding|class|lesson|lecture|seminar|conference|match|reservation|ceremony|funeral|trip|fly|flying|recital"
        r"|surgery|operation|graduation|workshop|review|demo|call with|parents' evening|rehearsal|tournament|barbecue|picnic|viewing"
        r"|stand-?up|retrospective|training|follow-?up|webinar)\b"
    ),
    happening_at_a_clock=compiled(
        r"\b(?:bus|call|visit|test|game|leave|leaves|arrive|arrives|starts?|begins?|session|show|movie|open house"
        r"|pick (?:\w+ )?up|comes?|technician|delivery|come over)\b"
    ),
    hour_long=compiled(
        r"\b(?:meet|meeting|appointment|dinner|lunch|party|interview|lesson|class|session|lecture|workshop)\b"
    ),
    links=frozenset("with to for about at in of from between on again".split()),
    breaks=frozenset(
        "and but so because that which who is are was will would should starts begins leaves arrives is it's i we you he "
        "she they if then or please have has can could need needs ends lasts when where where's what than".split()
    ),
    edges=frozenset(
        "a an the my our your his her their this that let's on at in by for to of with and from i've i'm i'll we've we're "
        "have has got get is are it it's there's there also so then um uh well yes no okay oh hey to be will "
        "next coming about around from be".split()
    ),
    determiners=frozenset("a an the my our your his her their this these those some each every any no".split()),
    verbs=frozenset(
        """takes take makes make made gets get got gives give gave goes go went comes come came keeps keep kept finds find
        found needs need wants want says say said thinks think thought knows know knew sees see saw feels feel felt
        looks look looked seems seem works happens happen happened begins begin began starts start started stops stop
        stopped lands land leaves leave left sends send sent brings bring brought buys buy bought pays paid costs lives
        live lived loves love loved likes like liked uses used becomes became begins shows showed tells told asks asked
        fell fall falls learned learn lets let put puts sign signed read write wrote ready able sure fine good great
        been being still already really just very only even never always often also too done gone going coming
        fix fixed fails failing failed slipped agreed decided covered ends end ended instead coming stretched finished blocked anymore anyway""".split()
    ),
    introduces=compiled(
        r"\b(?:my name is|my name's|this is) (?P<name>(?-i:[A-Z])[\w'-]+)(?= (?:from|speaking|here|calling)|[,.!]|$| and (?:i|we)\b)"
    ),
    clause=compiled(
        r"(?:[,;:]|(?<=[a-z0-9])(?= (?:and|but|so|then|because) )) ?(?=(?:(?:and|but|so|then|because|also|oh|yes|yeah|okay|well|no) )*"
        r"(?:i|we|you|he|she|they|it|that|there|there's|it's|that's|i'll|i'm|i've|we'll|we're|we've|you'll|please|let's"
        r"|let me|can|could|would|will|do not|don't|remember|remind|make sure|the|my|our|your|what|how|if|have)\b)"
    ),
    fillers=compiled(
        r", (?:um+|uh+|uhm|erm|er|hmm+|mhm|you know|i mean|kind of|sort of|like),(?= )"
        r"|(?:(?<=^)|(?<= ))(?:um+|uh+|uhm|erm|er|hmm+|mhm|you know|i mean(?=,))(?:,|\b)(?: |$)"
    ),
    corrections=compiled(
        r"(?<![ ,.;—–-])[ ,.;—–-]++(?:no,? wait|wait,? no|no,? sorry|sorry,? no|actually,? no|no,? actually|well,? actually|or rather|scratch that"
        r"|make that)[ ,.;—–-]+(?:actually |make (?:it|that) |on second thought,? )?"
        r"|[,.;—–-] ?(?:i mean|rather|sorry|no) ?[,;—–-] ?"
        r"|(?<!i'm)(?<! so)(?<! am) sorry,? (?=(?:at|on|in|by|to|from|until) )"
    ),
    hedges=frozenset(
        "like just really so kind of sort you know basically actually well maybe um uh er hmm yeah no okay right".split()
    ),
    asks=compiled(
        r"(?:(?:and|but|so|well|okay|oh|yeah|now|then),? )*(?:(?:who|whose|what|where|when|why|how|which)(?:'s| (?:is|are|am|was|were|do|does|did"
        r"|can|could|will|would|should|has|had|about|much|many|long|often|far|old)(?! (?:important|matters|needed)))\b"
        r"|(?:do|does|did|can|could|will|would|should|shall|are|is|was|were|have|has|am) (?:i|you|we|they|he|she|it|there|this|that"
        r"|some(?:body|one)|any(?:body|one|thing))\b)"
    ),
    asks_whether=compiled(r"\b(?:did|have) you (?:already |ever )?(?P<what>[^?]+?)(?: already| yet)?\?"),
    reported=compiled(
        r"(?<!as )(?<!like )(?<!what )(?<!whatever )\b(?!(?:we|you|i)\b)(?:he|she|they|the \w+|(?-i:[A-Z])[\w'-]+)(?: just| then| had| has)?"
        r" (?:said|says|told \w+|asked(?: \w+)?|replied|answered|(?:was|were|is|are) like)[,:] .*"
        r"|^.*[,!?][\"”]? (?:said|replied|cried|answered|whispered) (?:he|she|they|the \w+|(?-i:[A-Z])[\w'-]+)\b"
    ),
    personal=compiled(
        r"\b(?:i|i'm|i'll|i've|i'd|me|my|mine|we|we're|we'll|we've|we'd|us|our|ours|you|you're|you'll|you've|your|yours|let's)\b"
    ),
)
