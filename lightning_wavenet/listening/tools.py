"""A study for tools that people use: webMUSHRA, the P.808 toolkit, and lists of links for Prolific and MTurk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]

from lightning_wavenet.listening.assignment import Form, Kind, Stimulus, Trial

_LABELS = ("Bad", "Poor", "Fair", "Good", "Excellent")


def webmushra(form: Form, number: int, names: Mapping[Stimulus, str], kind: Kind, study: str, title: str) -> str:
    """A configuration of webMUSHRA for one listener; `audio` lies in webMUSHRA's root folder.

    Args:
        form: All trials, in order.
        number: Of the form.
        names: Ids of the stimuli.
        kind: Likert pages of one stimulus, or unforced paired comparisons, which webMUSHRA mixes itself.
        study: Its id.
        title: Of the page.
    """
    pages: list[dict[str, Any]] = [
        {
            "type": "volume",
            "id": "volume",
            "name": "Volume",
            "content": "Set the volume so that the speech is comfortably loud.",
            "stimulus": _file(form[0].heard[0], names),
            "defaultVolume": 0.5,
        }
    ]
    for place, trial in enumerate(form):
        page: dict[str, Any] = {"id": f"trial{place:03d}", "name": title}
        if kind == "mos":
            page |= {"type": "likert_single_stimulus", "mustRate": True, "mustPlayback": "ended"}
            page["content"] = "How natural is the speech?"
            page["stimuli"] = {names[trial.heard[0]]: _file(trial.heard[0], names)}
            page["response"] = [{"value": str(value), "label": text} for value, text in enumerate(_LABELS, 1)]
        else:
            left, right = trial.heard
            page |= {"type": "paired_comparison", "unforced": "No preference", "showWaveform": False}
            page |= {"content": "Which sounds more natural?", "enableLooping": False}
            page |= {"reference": _file(left, names), "stimuli": {names[right]: _file(right, names)}}
        pages.append(page)
    pages.append({"type": "finish", "name": "Thank you", "content": "", "showResults": False, "writeResults": True})
    config = {
        "testname": title,
        "testId": f"{study}_{number:04d}",
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": False,
        "remoteService": "service/write.php",
        "pages": pages,
    }
    return str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def p808(forms: Sequence[Form], names: Mapping[Stimulus, str], url: str) -> dict[str, list[dict[str, str]]]:
    """Rows of the files that the P.808 toolkit reads: of its ACR for MOS, of its CCR for pairs.

    Its trapping clips, which say what to answer, are made by the toolkit.

    Args:
        forms: Of the study.
        names: Ids of the stimuli.
        url: Where `audio` lies, with "/" at its end.
    """

    def link(stimulus: Stimulus) -> str:
        return f"{url}audio/{names[stimulus]}.wav"

    files: dict[str, list[dict[str, str]]] = {"rating_clips": [], "training_clips": [], "gold_clips": []}
    of_role = {"rated": "rating_clips", "calibration": "training_clips", "gold": "gold_clips"}
    seen: set[tuple[str, tuple[Stimulus, ...]]] = set()
    for trial in (trial for form in forms for trial in form):
        file = of_role.get(trial.role)
        heard = tuple(sorted(trial.heard))
        if file is None or (file, heard) in seen:
            continue
        seen.add((file, heard))
        row = {file: link(trial.heard[-1])}
        if len(trial.heard) > 1:
            row["references"] = link(trial.heard[0])
        if trial.role == "gold":
            row["gold_clips_ans"] = _gold_answer(trial)
        files[file].append(row)
    return {name: rows for name, rows in files.items() if rows}


def links(forms: Sequence[Form], url: str) -> list[dict[str, str]]:
    """One link a listener, for whoever invites them."""
    return [{"form": str(number), "url": f"{url}index.html?form={number}"} for number in range(len(forms))]


def _gold_answer(trial: Trial) -> str:
    """The end of the scale that is expected: of pairs, the second against the first, -3 to 3."""
    if len(trial.heard) > 1:
        return "-3" if trial.expected == ("left",) else "3"
    return "1" if "1" in trial.expected else "5"


def _file(stimulus: Stimulus, names: Mapping[Stimulus, str]) -> str:
    return f"audio/{names[stimulus]}.wav"
