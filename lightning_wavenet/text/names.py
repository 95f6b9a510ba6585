"""Abbreviations, postal addresses, Roman numerals, initials and words in capitals."""

from __future__ import annotations

import re
from re import Match

from lightning_wavenet.text.library import state
from lightning_wavenet.text.numbers import ROMAN, cardinal, digits, house, letters, ordinal, roman, year
from lightning_wavenet.text.pronunciation import Lexicon
from lightning_wavenet.text.rules import STOP, any_of, compiled

_TITLES = {
    **{"Mr": "mister", "Mrs": "missus", "Ms": "ms", "Dr": "doctor", "Drs": "doctors", "Messrs": "messrs"},
    **{"Rev": "reverend", "Hon": "honorable", "Gen": "general", "Col": "colonel", "Maj": "major", "Capt": "captain"},
    **{"Lt": "lieutenant", "Sgt": "sergeant", "Cpl": "corporal", "Pvt": "private", "Adm": "admiral", "Mt": "mount"},
    **{"Gov": "governor", "Sen": "senator", "Rep": "representative", "Pres": "president", "Prof": "professor"},
}
_ABBREVIATIONS = {
    **{"Co": "company", "Cos": "companies", "Ltd": "limited", "Inc": "incorporated", "Corp": "corporation"},
    **{
        "Jr": "junior",
        "Sr": "senior",
        "Esq": "esquire",
        "Bros": "brothers",
        "Dept": "department",
        "dept": "department",
    },
    **{"Supt": "superintendent", "Ave": "avenue", "Blvd": "boulevard", "Rd": "road", "Hwy": "highway"},
    **{"Jan": "january", "Feb": "february", "Aug": "august", "Apt": "apartment", "Bldg": "building"},
    **{"Sept": "september", "Oct": "october", "Nov": "november", "Dec": "december", "Univ": "university"},
    **{"etc": "et cetera", "viz": "namely", "vs": "versus", "cf": "compare", "approx": "approximately"},
    **{"Assn": "association", "govt": "government", "Govt": "government", "est": "established", "incl": "including"},
}
_BEFORE_NUMBERS = {
    **{"No": "number", "Nos": "numbers", "Fig": "figure", "Vol": "volume", "Ch": "chapter", "Chap": "chapter"},
    **{"no": "number", "nos": "numbers", "vol": "volume", "ch": "chapter", "fig": "figure", "sec": "section"},
    **{"Sec": "section", "Art": "article", "p": "page", "pp": "pages", "ca": "circa", "Apt": "apartment"},
    **{
        "apt": "apartment",
        "Hwy": "highway",
        "Rte": "route",
        "Rt": "route",
        "Ste": "suite",
        "Rm": "room",
        "Eq": "equation",
    },
}
_STREETS = {
    **{"St": "street", "Ave": "avenue", "Blvd": "boulevard", "Rd": "road", "Dr": "drive", "Ln": "lane", "Ct": "court"},
    **{"Pl": "place", "Sq": "square", "Pkwy": "parkway", "Hwy": "highway", "Ter": "terrace", "Cir": "circle"},
    **{"Expy": "expressway", "Fwy": "freeway", "Tpke": "turnpike", "Sts": "streets", "Aves": "avenues"},
}
_DIRECTIONS = {
    **{"N": "north", "S": "south", "E": "east", "W": "west", "NE": "northeast", "NW": "northwest", "SE": "southeast"},
    "SW": "southwest",
}
_SOVEREIGNS = (
    "Alexander|Benedict|Catherine|Charles|Christian|Clement|Edward|Elizabeth|Ferdinand|Francis|Frederick|George|"
    "Gregory|Gustav|Henry|Innocent|James|John|Leo|Leopold|Louis|Mary|Napoleon|Nicholas|Otto|Paul|Peter|Philip|Pius|"
    "Ramses|Richard|Robert|Urban|Victor|Wilhelm|William"
)
_INITIALISMS_THAT_SPELL_WORDS = {"US", "UN", "ID", "AM", "PM", "IT", "AD"}
_PRONOUNS = "IT|HE|SHE|THAT|WHAT|WHO|THERE|HERE|LET|WHERE|HOW|WHEN"
# Said as words, and in no dictionary.
_ACRONYMS = {"COVID", "ASEAN", "NAFTA", "FIFA", "SARS", "OPEC", "PETA", "DARPA", "NOAA", "NSYNC", "LIDAR", "CAPTCHA"}


def _address(match: Match[str]) -> str:
    return house(match[1]) + " "


def _place(match: Match[str]) -> str:
    name = state(match["code"]) if match["code"] else match["name"]
    if name is None:
        return match[0]
    code = f" {digits(match['zip'])} " if match["zip"] else ""
    return f", {name}{code}"


def _reads(letters_: str, alone: bool) -> bool:
    """Whether a word in capitals is read as a word: what the dictionary lists, but for initialisms between words."""
    if letters_ in _ACRONYMS:
        return True
    if alone and letters_ in _INITIALISMS_THAT_SPELL_WORDS:
        return False
    return len(letters_) > 5 or Lexicon.cmudict().reads_as_word(letters_)


def _capitals(match: Match[str]) -> str:
    """A word in capitals, as a word where it is one and by its letters where it is not."""
    word, ending = match["letters"], match["ending"] or ""
    if re.fullmatch("[IVX]{2,}", word) and re.fullmatch(ROMAN, word) and not ending:
        return cardinal(roman(word))
    # Emphasis takes several words; an initialism stands alone.
    beside = match.string[: match.start()].split()[-1:] + match.string[match.end() :].split()[:1]
    alone = not any(re.fullmatch(r"\W*[A-Z]{2,}\W*", neighbor) for neighbor in beside)
    if not _reads(word, alone):
        return letters(word) + (ending and "'s")
    return match[0]


def unshouted(text: str) -> str:
    """A text all in capitals as it stands in running text, and contractions in capitals in lower case.

    Of a transcript in capitals only what has no vowel, or is a numeral, is still taken for initials.
    """
    lower = re.search("[a-z]", re.sub(r"\S*[\d@/]\S*", "", text))
    shouted = not lower and len(re.findall(r"[A-Z]{2,}", text)) > 2
    text = re.sub(rf"\b(?:{_PRONOUNS})'S\b", _contraction, text)
    text = re.sub(r"\b([A-Z]+)'S\b", r"\1's", text)
    text = re.sub(r"(?<![\w'])[A-Z]{1,6}'(?:[A-RT-Z]|[A-Z]{2,})\b", _contraction, text)
    return re.sub(r"(?<![\w'@&.])[A-Z]{2,}(?![\d&])('s)?", _running, text) if shouted else text


def _contraction(match: Match[str]) -> str:
    word = match[0].lower()
    return word[0].upper() + word[1:] if len(word.partition("'")[0]) > 1 else match[0][0] + word[1:]


def _running(match: Match[str]) -> str:
    word = match[0]
    bare = word.removesuffix("'s")
    if not set(bare) & set("AEIOUY") or re.fullmatch("[IVX]{2,}|[AP]M", bare) or bare in ("USA", "FBI", "CIA", "USSR"):
        known = Lexicon.cmudict().reads_as_word(bare.lower()) and not re.fullmatch("[IVX]{2,}|[AP]M", bare)
        common = bare.capitalize() in _TITLES or bare.capitalize() in _ABBREVIATIONS or bare.capitalize() in _STREETS
        if not (known or common or bare == "HMM" or bare == "AM"):
            return word
    return word.capitalize() if bare != "AM" else "am"


ABBREVIATIONS = compiled(
    (r"\be\.\s?g\.", "for example"),
    (r"\bi\.\s?e\.", "that is"),
    (r"&c\.?", " et cetera"),
    (r"(?<!\w)w/o(?!\w)", "without"),
    (r"(?<!\w)w/(?=\s|[a-z])", "with "),
    (r"(?<!\w)c/o(?!\w)", "care of"),
    (r"\bet al\.", "et al"),
    (r"\bPhD(s?)\b", r"p h d\1"),
    # Postal addresses: streets, then the number of the house before one, then states and codes.
    (
        rf"((?:\b[A-Z][a-z']+|\d(?:st|nd|rd|th)) )(?!Dr\.?\s+[a-z])({any_of(_STREETS)})\b\.?"
        rf"(?=\W*$|\s*[,;)]|\s+(?:[NSEW]{{1,2}}\b|[a-z]|Apt\b|Suite\b|#))",
        lambda match: match[1] + _STREETS[match[2]],
    ),
    # A house's number before it tells a street from a saint.
    (
        rf"(\b\d{{1,5}} (?:{any_of(_DIRECTIONS)})?\.? ?(?:[A-Z][a-z']+ |\d+(?:st|nd|rd|th) ){{1,3}})"
        rf"({any_of(_STREETS)}|{'|'.join(map(str.lower, _STREETS))})\b(?:\.(?=\s+[a-z]))?",
        lambda match: match[1] + _STREETS[match[2].capitalize()],
    ),
    (
        rf"\b((?:street|avenue|boulevard|road|drive|lane|court|place) )({any_of(_DIRECTIONS)})\b\.?",
        lambda match: match[1] + _DIRECTIONS[match[2]],
    ),
    (rf"(?<=\d )({any_of(_DIRECTIONS)})\b\.?(?= (?:[A-Z][a-z]|\d))", lambda match: _DIRECTIONS[match[1]]),
    (
        r"(?<![\w.,$£€/-])(\d{1,5}) (?=(?:(?:north|south|east|west)(?:east|west)? )?"
        r"(?:[A-Z][a-z']+ |\d+(?:st|nd|rd|th) ){1,3}(?i:street|avenue|boulevard|road|drive|lane|court|place|parkway|"
        r"square|terrace|circle|highway|expressway|freeway|turnpike|way)\b)",
        _address,
    ),
    (r",\s(?P<code>[A-Z]{2})(?P<name>)(?:\s+(?P<zip>\d{5}(?:-\d{4})?))?(?=\W*$|[,.;])", _place),
    (r",\s(?P<code>)(?P<name>[A-Z][a-z]+(?: [A-Z][a-z]+)?),?\s(?P<zip>\d{5}(?:-\d{4})?)\b", _place),
    (r"\bP\.?\s?O\.?\s?Box\s(\d+)", lambda match: f"P O Box {digits(match[1])} "),
    # Titles and other abbreviations.
    (rf"\b({any_of(_TITLES)})\.|\b(Mrs?|Dr)(?=\s+[A-Z])", lambda match: _TITLES[match[1] or match[2]]),
    (r"\bSt\.?(?=\s+[A-Z])", "saint"),
    (rf"(?<=[a-z] )St(?:{STOP}|\b)", "street"),
    (r"(?<!\d)(?<!\d )\bFt\.?(?=\s+[A-Z])", "fort"),
    (rf"\b({any_of(_BEFORE_NUMBERS)})\.\s?(?=[A-Z]?\d)", lambda match: _BEFORE_NUMBERS[match[1]] + " "),
    (r"\b(Apt|Rte|Hwy|Ste)\s(?=#?\d)", lambda match: _BEFORE_NUMBERS[match[1]] + " "),
    (rf"\b({any_of(_ABBREVIATIONS)})(?:{STOP}|(?=\.))", lambda match: _ABBREVIATIONS[match[1]]),
    (r"\b([Aa])pprox\b", "approximately"),
    (r"#\s?(?=\d)", "number "),
    # Roman numerals after a sovereign's name, or what is numbered by them.
    (
        rf"\b((?:King|Queen|Emperor|Pope|Tsar)\s+[A-Z][a-z]+|{_SOVEREIGNS})\s+([IVXL]{{2,}}|V|X|I(?=\.\s+[a-z]))"
        r"(?=\b|'s)(?:\.(?=,|\s+[a-z]))?",
        lambda match: f"{match[1]} the {ordinal(roman(match[2]))}",
    ),
    (
        r"\b((?i:chapter|book|part|volume|act|scene|article|section|appendix|war|canto|class|phase|type|bowl|level))\s+"
        r"([IVXLC]{2,}|[VXLC]|(?<=[Ss]cene )[ivx]+|I(?!'?\s*[a-z])|(?<=World War )I)\b",
        lambda match: f"{match[1]} {cardinal(roman(match[2]))}",
    ),
    (
        r"\b([IVX]+)(?:th|st|nd|rd)\b|\b([IVX]{1,5})(?=(?:th|st|nd|rd)?[ -][Cc]entur)",
        lambda match: ordinal(roman(match[1] or match[2])),
    ),
    (rf"\b(?=M[IVXLCDM]{{3}}){ROMAN}\b", lambda match: year(roman(match[0]).zfill(4))),
)

INITIALS = compiled(
    # AT&T, R&B.
    (
        r"\b([A-Z]{1,3})&([A-Z]{1,3})('?s)?\b",
        lambda match: f"{letters(match[1])} and {letters(match[2])}{match[3] or ''}",
    ),
    # U.S., Ph.D., then those of names, then capitals in a row.
    (r"\b(?:(?:[A-Za-z]|[A-Z][a-z])\.)+[A-Za-z]\b(?:\.(?!\W*$))?", lambda match: letters(match[0])),
    (r"(?<!\w)(?<![a-z] (?=I))([A-Z])\.(?=\s*[A-Z])", lambda match: letters(match[1])),
    (r"(?<=[a-z])\.(?=[a-z])", " dot "),
    (r"\b(?P<letters>[A-Z]{2,})(?P<ending>'?s)?\b", _capitals),
)
