"""Tags of MagnaTagATune that say the same, as one (section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "beat": ("beats",),
    "chant": ("chanting",),
    "choir": ("choral",),
    "classical": ("clasical", "classic"),
    "drum": ("drums",),
    "electro": ("electronic", "electronica", "electric"),
    "fast": ("fast beat", "quick"),
    "female": (
        "female singer",
        "female singing",
        "female vocal",
        "female vocals",
        "female voice",
        "woman",
        "woman singing",
        "women",
    ),
    "flute": ("flutes",),
    "guitar": ("guitars",),
    "hard": ("hard rock",),
    "harpsichord": ("harpsicord",),
    "heavy": ("heavy metal", "metal"),
    "horn": ("horns",),
    "india": ("indian",),
    "jazz": ("jazzy",),
    "male": ("male singer", "male vocal", "male vocals", "male voice", "man", "man singing", "men"),
    "no beat": ("no drums",),
    "no singer": ("no singing", "no vocal", "no vocals", "no voice", "no voices", "instrumental"),
    "opera": ("operatic",),
    "orchestra": ("orchestral",),
    "quiet": ("silence",),
    "singer": ("singing",),
    "space": ("spacey",),
    "strange": ("weird",),
    "string": ("strings",),
    "synth": ("synthesizer",),
    "violin": ("violins",),
    "vocal": ("vocals", "voice", "voices"),
}
"""What is merged, under the name that is kept: 188 tags become 134.

The paper merges "similar tags" and does not say which. These groups are those that K. Choi proposes
(github.com/keunwoochoi/magnatagatune-list, commit 9d12536), with "female vocal", which is missing there.
"""

_KEPT = {other: kept for kept, others in SYNONYMS.items() for other in others}


def merged(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags of a clip, each under the name that is kept, once."""
    return tuple(dict.fromkeys(_KEPT.get(tag, tag) for tag in tags))
