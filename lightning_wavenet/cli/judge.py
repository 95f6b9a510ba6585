"""`wavenet judge`: what judges from outside say of clips."""

# No postponed annotations here: a parser is made of them.
import json as json_format
from pathlib import Path
from typing import Any

from lightning_wavenet.cli.parsing import verb


def judge(
    clips: Path,
    /,
    recordings: Path,
    pattern: str = r"(?P<speaker>[^/]+)/",
    per_speaker: int = 20,
    json: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Tells how clean generated clips sound, and how many are nearest to the voice that they were to have.

    DNSMOS scores overall quality, signal and background from 1 to 5. A voice is near by the cosine of Resemblyzer's
    vectors with the mean of a speaker's recordings. Both are beside the same of the recordings.

    Args:
        clips: Folder that wavenet generate wrote.
        recordings: Folder of recordings of the same speakers.
        pattern: Regular expression that finds the speaker in the path of a recording below that folder.
        per_speaker: How many recordings of each speaker count, the first by name.
        json: Write the figures of every clip here too.
        overwrite: Replace that file if it exists.

    Raises:
        RequestError: The judges are not installed, or the folders are not what they should be.
    """
    import re

    import torch
    from rich.console import Console
    from rich.progress import track

    from datamodules.folders import files_below
    from lightning_wavenet.errors import RequestError
    from lightning_wavenet.files.atomic import refuse_existing, write_text
    from lightning_wavenet.files.audio import AUDIO_SUFFIXES
    from lightning_wavenet.files.reading import read_mono
    from lightning_wavenet.metrics import judges

    if absent := [folder for folder in (clips, recordings) if not folder.is_dir()]:
        raise RequestError(f"there is no folder {absent[0]}")
    if json is not None:
        refuse_existing([json], overwrite, "--json")

    def judged(path: Path) -> tuple[judges.Quality, torch.Tensor]:
        wave, rate = read_mono(path)
        waveform = torch.from_numpy(wave)
        return judges.quality(waveform, rate), judges.voice(waveform, rate)

    by_speaker: dict[str, list[Path]] = {}
    for name, path in files_below(recordings)[0].items():
        found = re.search(pattern, name)
        if path.suffix.lower() in AUDIO_SUFFIXES and found:
            by_speaker.setdefault(found["speaker"], []).append(path)
    described = [path for path in sorted(clips.glob("**/*.json")) if path.with_suffix(".wav").exists()]
    own = {path.stem: json_format.loads(path.read_text())["conditions"].get("speaker") for path in described}
    if not own or None in own.values():
        raise RequestError(f"{clips} has no clips of speakers: give a folder that wavenet generate wrote")
    if missing := sorted(set(map(str, own.values())) - set(by_speaker)):
        raise RequestError(f"{recordings} has no recordings of {', '.join(missing)}; see --pattern")
    chosen = [(name, path) for name, paths in sorted(by_speaker.items()) for path in paths[:per_speaker]]
    bar: dict[str, Any] = {"transient": True, "disable": not Console().is_terminal}
    known = [(name, *judged(path)) for name, path in track(chosen, "recordings", **bar)]
    made = [(path.stem, *judged(path.with_suffix(".wav"))) for path in track(described, "clips", **bar)]

    voices: dict[str, list[torch.Tensor]] = {}
    for name, _, voice in known:
        voices.setdefault(name, []).append(voice)
    rows = [
        {"clip": id, "speaker": own[id], "nearest": judges.nearest(voice, voices), **quality._asdict()}
        for id, quality, voice in made
    ]
    right = [row["speaker"] == row["nearest"] for row in rows]
    own_right = [judges.nearest(voice, voices) == name for name, _, voice in known]
    for what, count, qualities, matches in (
        ("clips", len(made), [one[1] for one in made], right),
        ("recordings", len(known), [one[1] for one in known], own_right),
    ):
        means = [sum(values) / count for values in zip(*qualities, strict=True)]
        print(
            f"{count} {what}: DNSMOS {means[0]:.2f} overall, {means[1]:.2f} signal, {means[2]:.2f} background; "
            f"{sum(matches)} of {count} nearest to their own of {len(voices)} voices"
        )
    if json is not None:
        write_text(json, json_format.dumps(rows, indent=2) + "\n")


main = verb(judge, "judge")
