"""Sums of money."""

from __future__ import annotations

import re
from re import Match

from lightning_wavenet.text.numbers import NUMBER, cardinal, counted
from lightning_wavenet.text.rules import any_of, compiled

# What is said of one and of several, and of the hundredth part.
_Names = tuple[str, str, str, str]
_DOLLARS: _Names = ("dollar", "dollars", "cent", "cents")
_RUPEES: _Names = ("rupee", "rupees", "paisa", "paise")
_SIGNS: dict[str, _Names] = {
    "$": _DOLLARS,
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": _RUPEES,
    "₩": ("won", "won", "jeon", "jeon"),
    "₽": ("ruble", "rubles", "kopeck", "kopecks"),
    "₺": ("lira", "lira", "kurus", "kurus"),
    "₪": ("shekel", "shekels", "agora", "agorot"),
    "₫": ("dong", "dong", "xu", "xu"),
    "₱": ("peso", "pesos", "centavo", "centavos"),
    "₦": ("naira", "naira", "kobo", "kobo"),
    "₴": ("hryvnia", "hryvnias", "kopiyka", "kopiykas"),
}
_EVERY = {
    **{"s": "second", "min": "minute", "h": "hour", "hr": "hour", "d": "day", "day": "day", "wk": "week"},
    **{"week": "week", "mo": "month", "month": "month", "yr": "year", "year": "year", "lb": "pound", "kg": "kilogram"},
    **{"gal": "gallon", "oz": "ounce", "mi": "mile", "km": "kilometer"},
}
_PREFIXES = {
    **{"US": "u s", "CA": "canadian", "C": "canadian", "AU": "australian", "A": "australian", "NZ": "new zealand"},
    **{"HK": "hong kong", "S": "singapore", "NT": "new taiwan", "MX": "mexican"},
}
_CODES: dict[str, tuple[str, str]] = {
    **{"USD": ("u s", "$"), "CAD": ("canadian", "$"), "AUD": ("australian", "$"), "NZD": ("new zealand", "$")},
    **{"HKD": ("hong kong", "$"), "SGD": ("singapore", "$"), "EUR": ("", "€"), "GBP": ("", "£"), "JPY": ("", "¥")},
    **{"INR": ("indian", "₹"), "KRW": ("korean", "₩"), "RUB": ("", "₽"), "CNY": ("chinese", "CNY")},
    **{"CHF": ("swiss", "CHF"), "SEK": ("swedish", "SEK"), "NOK": ("norwegian", "SEK"), "DKK": ("danish", "DKK")},
    **{"PLN": ("polish", "PLN"), "MXN": ("mexican", "₱"), "BRL": ("brazilian", "BRL")},
}
_NAMED: dict[str, _Names] = {
    "CNY": ("yuan", "yuan", "fen", "fen"),
    "CHF": ("franc", "francs", "rappen", "rappen"),
    "SEK": ("krona", "kronor", "ore", "ore"),
    "DKK": ("krone", "kroner", "ore", "ore"),
    "PLN": ("zloty", "zlotys", "grosz", "groszy"),
    "BRL": ("real", "reais", "centavo", "centavos"),
}
_SCALES = {
    **dict.fromkeys(("k", "K"), "thousand"),
    **dict.fromkeys(("m", "M", "mm", "MM", "mn", "mil", "Mio"), "million"),
    **dict.fromkeys(("b", "B", "bn", "Bn", "BN"), "billion"),
    **dict.fromkeys(("t", "T", "tn", "trn"), "trillion"),
}
_SCALE = (
    rf"(?:[\s-]?(?P<words>(?i:hundred|thousand|million|billion|trillion|quadrillion)(?:[\s-](?i:million|billion))?)\b"
    rf"|\s?(?P<short>{any_of(_SCALES)})(?!\w))"
)
_SIGN = rf"(?:(?<!\w)(?P<prefix>{any_of(_PREFIXES)}))?(?P<sign>[{''.join(_SIGNS)}])"
# A range before its sign, as in 5 to 10 euros, and after it, where "to" takes a sign of its own: $5-10, $5 to $10.
_AMOUNT = rf"(?P<amount>{NUMBER})(?:\s?(?:-|to)\s?(?P<last>{NUMBER}))?"
_SIGNED = rf"(?P<amount>{NUMBER})(?:(?:\s?-\s?[{''.join(_SIGNS)}]?|\s?to\s?[{''.join(_SIGNS)}])(?P<last>{NUMBER}))?"
_NOUN_FOLLOWS = r"(?P<noun>(?<=\w)[\s-](?=(?!(?:a|an|and|as|at|by|for|from|in|is|it|of|on|or|per|than|that|the|to|was|"
_NOUN_FOLLOWS += (
    r"were|with|when|will|would|but|if|each|every|more|less|worth|has|had|have|into|over|off)\b)[a-z]{3,}))?"
)
_ARTICLE = r"(?P<article>\b(?:[Aa]n?|[Tt]he|[Tt]his|[Tt]hat|[Hh]is|[Hh]er|[Mm]y) )?"


def _scaled(match: Match[str]) -> str:
    """The words of a scale; empty where there is none."""
    words = match["words"]
    return words.lower().replace("-", " ") if words else _SCALES.get(match["short"] or "", "")


def _sum(amount: str, scaled: str, kind: str, names: _Names, one: bool) -> str:
    """A sum in words; `one` where the currency stands before a noun, as in a twenty dollar bill."""
    unit, units, part, parts = names
    before = f"{kind} " if kind else ""
    if scaled:
        return f"{cardinal(amount)} {scaled} {before}{unit if one else units}"
    whole, _, cents = amount.partition(".")
    if cents.rstrip("0") and len(cents.rstrip("0")) < 3:
        cents = cents.rstrip("0").ljust(2, "0")
    elif cents and not cents.rstrip("0"):
        cents = "00"
    if len(cents) != 2:
        return f"{cardinal(amount)} {before}{unit if one or amount == '1' else units}"
    said = [(whole.replace(",", ""), before + unit, before + units), (cents.lstrip("0"), part, parts)]
    spoken = [
        f"{cardinal(count)} {name if count == '1' else several}" for count, name, several in said if count.strip("0")
    ]
    return " ".join(spoken) or f"zero {before}{units}"


def _money(match: Match[str]) -> str:
    found = match.groupdict()
    code = found.get("code")
    if code:
        kind, sign = _CODES[code]
    else:
        kind, sign = _PREFIXES.get(found.get("prefix") or "", ""), match["sign"]
    names = _SIGNS.get(sign) or _NAMED[sign]
    scaled = _scaled(match)
    minus = "minus " if match["minus"] or found.get("inner") else ""
    one = bool(found.get("article") and found.get("noun"))
    first, last = match["amount"], match["last"]
    said = _sum(last or first, scaled, kind, names, one)
    if last:
        each = re.search(rf"(?:-|to)\s?[{''.join(_SIGNS)}]", match[0]) and not scaled
        said = f"{_sum(first, '', kind, names, False) if each else cardinal(first)} to {said}"
    return f"{found.get('article') or ''}{minus}{said}{' ' if found.get('noun') else ''} "


RULES = compiled(
    (r"\bRs\.?\s?(?=\d)", "₹"),
    (rf"([{''.join(_SIGNS)}])\(({NUMBER})\)", r"\1\2"),
    (rf"{_ARTICLE}(?P<minus>(?<![\w.])-)?{_SIGN}\s?(?P<inner>-)?{_SIGNED}{_SCALE}?{_NOUN_FOLLOWS}", _money),
    (rf"(?P<minus>(?<![\w.])-)?{_AMOUNT}{_SCALE}?\s?(?P<sign>[{''.join(_SIGNS)}])(?!\d)", _money),
    (rf"(?P<minus>(?<![\w.])-)?{_AMOUNT}{_SCALE}?\s?(?P<code>{any_of(_CODES)})\b", _money),
    (rf"\b(?P<code>{any_of(_CODES)})\s?(?P<minus>-)?{_AMOUNT}{_SCALE}?", _money),
    # What is paid every month, and a sign without a sum.
    (
        rf"(?<=[a-z] )/\s?({any_of(_EVERY)})\b\.?",
        lambda match: f"per {_EVERY[match[1]]}",
    ),
    (rf"([{''.join(_SIGNS)}])", lambda match: f" {_SIGNS[match[1]][0]} "),
    (rf"({NUMBER})\s?¢", lambda match: f"{cardinal(match[1])} {counted(match[1], 'cent')}"),
    # A number with a scale, of anything.
    (
        rf"(?<![\w.])({NUMBER})([kKM]|bn|mn|tn)(?![\w/'])",
        lambda match: f"{cardinal(match[1])} {_SCALES[match[2]]}",
    ),
)
