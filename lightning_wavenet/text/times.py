"""Dates and times of day."""

from __future__ import annotations

from re import Match

from lightning_wavenet.text.numbers import cardinal, counted, house, letters, ordinal, year
from lightning_wavenet.text.rules import STOP, any_of, compiled

_NAMES = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november"),
    "december",
)
_DAYS = {
    **{"mon": "monday", "tue": "tuesday", "tues": "tuesday", "wed": "wednesday", "weds": "wednesday"},
    **{"thu": "thursday", "thur": "thursday", "thurs": "thursday", "fri": "friday", "sat": "saturday"},
    "sun": "sunday",
}
_MONTHS = {name: name for name in _NAMES} | {name[:3]: name for name in _NAMES} | {"sept": "september"}


def _cased(names: dict[str, str]) -> str:
    return any_of({form for name in names for form in (name.capitalize(), name.upper())})


# Lower case only for what is nothing else: not may, march, sun.
_LOWER = any_of({name for name in _MONTHS if name not in ("may", "mar", "march", "dec", "sep", "jun")})
_MONTH = rf"(?:{_cased(_MONTHS)}|{_LOWER})"
_DAY = _cased(_DAYS)
_ZONES = "EST|EDT|ET|CST|CDT|CT|MST|MDT|MT|PST|PDT|PT|GMT|UTC|BST|CET|CEST|IST|JST|AEST"
_AFTER = rf"{STOP}|\.(?=\s?(?:{_ZONES})\b)"
_HALF = r"(?P<half>[AaPp])\.?\s?[Mm](?![\w'])"

# After these a number is a count: in June 20 people died.
_COUNTED = (
    "people|persons|men|women|children|percent|hundred|thousand|million|billion|years|days|hours|miles|of us|more|new"
)


def _month(name: str) -> str:
    return _MONTHS[name.lower()]


def _either(match: Match[str]) -> str:
    return _month(match[1] or match[2])


def _month_and_day(match: Match[str]) -> str:
    month, day, last = _month(match["month"]), match["day"], match["last"]
    if not 1 <= int(day) <= 31:
        return match[0]
    until = f" to {ordinal(last)}" if last else ""
    return f"{month} {ordinal(day)}{until}" + " " * match[0].endswith("-")


def _day_and_month(match: Match[str]) -> str:
    day, month = match["day"], _month(match["month"])
    if not 1 <= int(day) <= 31:
        return match[0]
    return f"{match['the'] or 'the '}{ordinal(day)} of {month}{' ' if match['year'] else ''}{match['year'] or ''}"


def _written(year_: str, month: int, day: int, fallback: str, day_first: bool = False) -> str:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return fallback
    name, nth = _NAMES[month - 1], ordinal(str(day))
    said = cardinal(year_) if len(year_) == 2 else year(year_)
    return f"the {nth} of {name} {said}" if day_first else f"{name} {nth} {said}"


def _year_first(match: Match[str]) -> str:
    return _written(match[1], int(match[3]), int(match[4]), match[0])


def _year_last(match: Match[str]) -> str:
    first, second = int(match[1]), int(match[3])
    month, day = (second, first) if first > 12 else (first, second)
    return _written(match[4], month, day, match[0], day_first=first > 12 and match[2] != "/")


def _time(match: Match[str]) -> str:
    hour, minute, half, zone = match["hour"], match["minute"], match["half"], match["zone"]
    hour_said = cardinal(str(int(hour)))
    if minute and minute != "00":
        said = f"{hour_said} {cardinal(minute)}"
    elif half:
        said = hour_said
    elif int(hour) > 12 and zone:
        said = f"{hour_said} hundred"
    else:
        said = f"{hour_said} o'clock"
    said += f" {letters(half)} m" if half else ""
    return f"{said}{' ' + letters(zone) if zone else ''}"


def _duration(match: Match[str]) -> str:
    hours, minutes, seconds = (
        f"{cardinal(number)} {counted(number, noun)}"
        for number, noun in zip(map(str, map(int, match.groups())), ("hour", "minute", "second"), strict=True)
    )
    return f"{hours} {minutes} and {seconds} "


def _decade(match: Match[str]) -> str:
    return f"{match[1]}{cardinal(match[2])}"


RULES = compiled(
    # Dates in figures.
    (r"(?<![\w./-])([12]\d{3})([-/.])(\d{1,2})\2(\d{1,2})(?![\w/-]|\.\d)", _year_first),
    (r"(?<![\w./-])(\d{1,2})([-/.])(\d{1,2})\2([12]\d{3})(?![\w/-]|\.\d)", _year_last),
    (r"(?<![\w./-])(\d{1,2})(/)(\d{1,2})/(\d\d)(?![\w/-])", _year_last),
    # Dates with a month's name.
    (
        rf"(?P<the>\b[Tt]he )?(?<![\w.,:/$-])(?P<day>\d{{1,2}})(?:[ -]|(?:st|nd|rd|th|ST|ND|RD|TH) of )"
        rf"(?P<month>{_MONTH})\b(?:{STOP}|\.(?=\s*\d))?(?:[ ,-]+(?P<year>[12]\d{{3}})\b)?",
        _day_and_month,
    ),
    (
        rf"\b(?P<month>{_MONTH})\b\.?[ -](?P<day>\d{{1,2}})(?:st|nd|rd|th|ST|ND|RD|TH)?"
        r"(?:\s?-\s?(?P<last>\d{1,2})(?:st|nd|rd|th)?)?(?![\w%]|[:/]\d|[.,]\d|\s?(?i:[ap]\.?m\b)"
        rf"|\s(?:{_COUNTED})\b)(?:-(?=\d{4}))?",
        _month_and_day,
    ),
    (rf"\b({_cased(_MONTHS)})(?= [12]\d{{3}}\b)()", _either),
    (rf"\b({_cased(_MONTHS)})\.(?=\s*[\d,;)-])|(?<=\bof )({_cased(_MONTHS)})\b\.?", _either),
    (rf"\b({_DAY})\.-({_DAY})\b\.?", lambda match: f"{_DAYS[match[1].lower()]} to {_DAYS[match[2].lower()]}"),
    (rf"\b({_DAY})-({_DAY})\b\.?", lambda match: f"{_DAYS[match[1].lower()]} to {_DAYS[match[2].lower()]}"),
    (
        rf"\b({_DAY})\.(?=,|\s+(?:\d|{_MONTH}|morning|afternoon|evening|night|at\b))",
        lambda match: _DAYS[match[1].lower()],
    ),
    # A month in small letters before or after figures with a year.
    (
        r"(?<![\w.,:/$-])(?P<the>)(?P<day>\d{1,2}) (?P<month>may|mar|march|dec|sep|jun)\.? (?P<year>[12]\d{3})\b",
        _day_and_month,
    ),
    (
        r"\b(?P<month>may|mar|march|dec|sep|jun)\.? (?P<day>\d{1,2})(?:st|nd|rd|th)?(?P<last>)(?=,? [12]\d{3}\b)",
        _month_and_day,
    ),
    # Eras and years.
    (r"(?<![\w.,])(\d{3,4})(?=\s?(?:A\.?D|B\.?C)\b)", lambda match: house(match[1])),
    (
        r"(?<=\d)\s?(A\.?D|B\.?C\.?E|B\.?C|C\.?E)(?![\w'])\.?|\b(A\.?D|C\.?E)\.?(?=\s?\d)",
        lambda match: f" {letters(match[1] or match[2])} ",
    ),
    (
        r"(?i)\b((?:in|since|by|until|year) )(10[1-9]\d)(?=[.,;:!?)]|$)",
        lambda match: match[1] + year(match[2]),
    ),
    (r"\b([Cc]lass of |[Ss]ummer of |[Ww]inter of )'(\d\d)\b", _decade),
    # Times of day.
    (r"(?<![\w:.])(\d{1,2}):([0-5]\d):([0-5]\d)(?![\w:])", _duration),
    (rf"(?<![\w:.,])(\d{{1,2}}(?:[:.]\d\d)?)\s?-\s?(?=\d{{1,2}}(?:[:.]\d\d)?\s?{_HALF})", r"\1 to "),
    (r"(?<=\d:\d\d)\s?-\s?(?=\d{1,2}:\d\d)", " to "),
    (
        rf"(?<![\w:.])(?P<hour>[01]?\d|2[0-3])[:.](?P<minute>[0-5]\d)(?![\d:])\s?{_HALF}(?:{_AFTER})?"
        rf"(?:\s?(?P<zone>{_ZONES})\b)?",
        _time,
    ),
    (
        rf"(?<![\w:.])(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?![\d:]|\.\d)(?P<half>)(?:\s?(?P<zone>{_ZONES})\b)?",
        _time,
    ),
    (
        rf"(?<![\w:.,])(?P<hour>1[0-2]|0?[1-9])(?P<minute>)\s?{_HALF}(?:{_AFTER})?(?:\s?(?P<zone>{_ZONES})\b)?",
        _time,
    ),
    (rf"(?<=[\d-]) ?{_HALF}(?:{_AFTER})?", lambda match: f" {letters(match['half'])} m"),
    (r"(?<= m)(?:\.?\s?-\s?)(?=\d|[a-z]+ )", " to "),
)
