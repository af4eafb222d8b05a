"""How captions name what belongs to a person: hair, eyes, beard, skin, age, build, origin, as regular expressions.

What the caption names, the training learns as something apart from the person; what it does not name, it learns with
the trigger. So hair that is "long" or "brown" is listed here, and hair that is wet or in a ponytail is not: that
varies. Written for text in lower case; the number of adjectives is bounded, so that no text makes them slow.
"""
from __future__ import annotations

import re


def _any(words: str) -> str:
    """A group that matches one of the words; `_` stands for a space or a hyphen."""
    return "(?:" + "|".join(word.replace("_", r"[\s-]") for word in words.split()) + ")"


MOST_ADJECTIVES = 6
PEOPLE = (
    "man men woman women girl girls boy boys guy guys lady ladies gentleman person people male female child children "
    "kid kids baby toddler teenager teen adult individual human face model actor actress bride groom couple"
)
PERSON = _any(PEOPLE)
_GRADE = _any("very really quite fairly rather extremely absurdly slightly naturally mostly somewhat super")
_PRAISE = _any("beautiful nice pretty lovely gorgeous stunning natural handsome piercing striking bright shiny")
_COLOUR = _any(
    "black brown blond blonde brunette red reddish ginger auburn grey gray greying graying white silver golden gold "
    "platinum pink blue bluish purple violet green teal aqua orange yellow strawberry sandy chestnut copper raven dark "
    "darker light lighter pale dirty ash salt_and_pepper multi_coloured multi_colored multicoloured multicolored "
    "two_tone gradient streaked rainbow dyed bleached hazel amber turquoise"
)
_SHAPE = _any(
    "long longer short shorter medium medium_length shoulder_length waist_length chin_length cropped bobbed curly wavy "
    "straight frizzy kinky coily thick thin fine thinning receding bushy fluffy full afro big"
)
_SIZE = _any("big large small long short thick thin bushy full heavy light trimmed well_trimmed neat scruffy fake")
_DET = r"(?:(?:a|an|the|his|her|their|its|my|some)\s+)?"
_NEXT = r"(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s+)"

# What comes behind hair and says how it is worn just now.
_WORN = (
    r"(?!\s+(?:tied|pulled|up|back|down|styled|braided|worn|blowing|flowing|flying|over|cover\w*|fall\w*|hang\w*|"
    r"ornaments?|ties?|clips?|bands?|bows?|ribbons?|flowers?|pins?|sticks?|tubes|net|dryer|accessor\w+|scrunchies?|salon|"
    r"brush\w*|in\s+(?:(?:a|an|two|her|his|their)\s+)?(?:[\w-]+\s+)?(?:bun|buns|pony\s?tails?|braids?|pigtails?|plaits?|"
    r"updo|knot|topknot|dread\w+|cornrows|curlers|rollers)))\b"
)


def _noun_phrase(adjectives: str, others: str, noun: str) -> str:
    """A noun with at least one of `adjectives` before it, and any of `others` among them."""
    either = f"(?:{adjectives}|{others})"
    before, after = (f"(?:{either}{_NEXT}){{0,{MOST_ADJECTIVES}}}?" for _ in range(2))
    return rf"{_DET}{before}{adjectives}{_NEXT}{after}{noun}"


_SHADE = f"(?:{_COLOUR}|{_SHAPE})"
_NEUTRAL = f"(?:{_GRADE}|{_PRAISE})"
# What may stand before hair, eyes and skin and belongs to the person: taken away alone where the noun must stay.
ADJECTIVES = {
    "hair": _SHADE,
    "eyes": f"(?:{_COLOUR}|{_any('big large small round almond_shaped narrow')})",
    "skin": f"(?:{_COLOUR}|{_any('fair tan tanned olive freckled wrinkled')})",
}
HAIR = _noun_phrase(_SHADE, _NEUTRAL, r"hairs?\b") + _WORN
EYES = _noun_phrase(ADJECTIVES["eyes"], _NEUTRAL, r"eyes\b") + r"(?!\s+(?:closed|open|shut|covered|half))"
SKIN = _noun_phrase(ADJECTIVES["skin"], _NEUTRAL, r"(?:skin(?:\s+tone)?|complexion)\b") + r"(?![\s-]tight)"
_BEARDED = _any("beard mustache moustache goatee stubble sideburns facial_hair five_o'clock_shadow beards mustaches")
BEARD = rf"{_DET}(?:(?:{_COLOUR}|{_SHAPE}|{_SIZE}|{_NEUTRAL}){_NEXT}){{0,{MOST_ADJECTIVES}}}{_BEARDED}\b"
BALD = rf"(?:no\s+hair|{_DET}(?:bald|shaved|balding)\s+(?:head|spot)|{_DET}receding\s+hairline|{_DET}bald\s+spot)\b"
_PLACE = (
    r"(?:\s+(?:on|above|below|under|near)\s+(?:his|her|the|their)\s+(?:\w+\s+)?(?:face|cheeks?|chin|nose|lips?|eyes?|"
    r"forehead|neck|brow|mouth))?"
)
_MARK = _any("freckles mole moles beauty_mark beauty_marks wrinkles dimples birthmark birthmarks")
MARKS = rf"{_DET}(?:(?:{_SIZE}|many|a\s+few)\s+)?{_MARK}\b{_PLACE}"
SHAPES = (
    rf"{_DET}(?:(?:thick|bushy|thin|dark)\s+eyebrows|(?:big|large|long|small|crooked|pointy|pointed|hooked)\s+nose|"
    r"(?:big|large|pointy|pointed|small)\s+ears|(?:full|thick|thin)\s+lips|(?:small|medium|big|large|huge)\s+breasts)\b"
)
GLASSES = (
    rf"(?:{_DET}pair\s+of\s+)?{_DET}(?:(?:{_COLOUR}|{_SIZE}|round|square|rimmed|framed|reading|black_framed|[\w]+-(?:rimmed|"
    r"framed))\s+){0,3}(?:eye)?(?:glasses|spectacles)\b(?!\s+(?:of|with|on\s+(?:a|the|his|her)\s+(?:table|head)))"
)

# Things that a person has and that a sentence may give with "with" or "has".
THINGS = "(?:" + "|".join((BALD, HAIR, EYES, SKIN, BEARD, MARKS, SHAPES)) + ")"

_YEARS = r"(?:\d{1,3}|\w+)[\s-]years?[\s-]old"
_AGE = f"(?:{_YEARS}|{_any('young younger old older elderly middle_aged teenage aged mature')})"
_NATION = _any(
    "asian african african_american caucasian white black hispanic latino latina indian japanese chinese korean "
    "vietnamese european middle_eastern arab arabic"
)
_BUILD = _any("slim thin skinny fat chubby overweight muscular tall short petite slender curvy plump obese stocky")
_LOOKS = _any(
    "bald bald_headed balding bearded unshaven mustached clean_shaven blond blonde brunette redheaded red_headed "
    "red_haired freckled pale tanned"
)
_SKINNED = rf"(?:(?:{_COLOUR}|{_SHAPE}|fair|olive|tan)[\s-]){{1,3}}(?:haired|eyed|skinned|bearded)"
# What stands before "woman" or behind "is" and belongs to the person.
QUALITIES = f"(?:{_GRADE}\\s+)?(?:{_SKINNED}|{_AGE}|{_LOOKS}|{_BUILD}|{_NATION})"
# Behind "is" colours may belong to something else ("the wall behind is white").
PREDICATES = rf"(?:{_GRADE}\s+)?(?:{_SKINNED}|{_AGE}|{_LOOKS}|{_BUILD})"
DECADE = (
    r"\b(?:in|at)\s+(?:his|her|their)\s+(?:(?:early|mid|late)[\s-]+)?(?:\d0'?s|teens|twenties|thirties|forties|fifties|"
    r"sixties|seventies|eighties|nineties)\b"
)
NAMED_BY_HAIR = _any("blonde blond brunette redhead ginger")
OF_PEOPLE = (
    rf"(?:his|her|their|the|(?:(?:an?|the)\s+(?:[\w-]+\s+)?)?\w+'s)\s+(?:hair|eyes|beard|skin|moustache|mustache)"
    rf"\s+(?:is|are)\s+(?:(?:{_SHADE}|{_NEUTRAL}){_NEXT}){{0,{MOST_ADJECTIVES}}}{_SHADE}"
)

_TAGS = re.compile(
    r"1girl|1boy|1other|solo|solo focus|male focus|female focus|bald|bald (?:girl|woman|man)|ahoge|heterochromia|"
    r"hair between eyes|colored (?:inner|tips) hair|(?:very )?(?:dark|light|pale|tan)[- ]skin(?:ned (?:fe)?male)?|tan|"
    r"(?:small|medium|large|huge|gigantic) breasts|flat chest|pointy ears|mole (?:under|on|above) .+|facial mark|"
    r"scar(?: (?:on|across) .+)?|slit pupils|colored skin|(?:old|elderly)(?: (?:man|woman))?|mature (?:fe)?male|"
    r"aged (?:up|down)|child|asian|"
    rf"{_AGE}|{THINGS}"
)


def is_tag(plain: str) -> bool:
    """Whether a part of a caption, as `wording.key` gives it, is a tag for what belongs to the person."""
    return bool(_TAGS.fullmatch(plain))
