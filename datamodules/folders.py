"""Files of a folder and the folders in it, and what lies beside a recording."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from datamodules.records import Problem
from lightning_wavenet.files.audio import OTHER_AUDIO_SUFFIXES


def other_audio(path: Path) -> str | None:
    """The reason that a recording cannot be used by its kind; None for those that can, and for other files."""
    kind = path.suffix.lower()
    return (
        f"audio of a kind ({kind}) that is not read; convert it to wav or flac"
        if kind in OTHER_AUDIO_SUFFIXES
        else None
    )


class Neighbors:
    """Finds files by a name and a suffix in any case, such as REC.TXT; each folder is listed once."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[tuple[str, str], Path]] = {}

    def find(self, stem: Path, suffix: str) -> Path | None:
        """The file with that suffix, in small letters before others; None where there is none.

        Args:
            stem: Its path without the suffix.
            suffix: With the dot.
        """
        folder = stem.parent
        if folder not in self._folders:
            paths = sorted(folder.iterdir()) if folder.is_dir() else []
            # Small letters sort behind capitals.
            self._folders[folder] = {(path.stem, path.suffix.lower()): path for path in paths if path.is_file()}
        return self._folders[folder].get((stem.name, suffix.lower()))

    def find_first(self, stem: Path, suffixes: Iterable[str]) -> Path | None:
        """The file with the first of some suffixes that there is one with, found as `find` does."""
        return next((path for suffix in suffixes if (path := self.find(stem, suffix)) is not None), None)


def files_below(root: Path) -> tuple[dict[str, Path], list[Problem]]:
    """All files that are not hidden, by their paths relative to the root, and the folders that were not read.

    Links to folders are followed; a folder that is reached by several ways, or from within itself, is read once.

    Args:
        root: The folder.
    """
    files: dict[str, Path] = {}
    problems: list[Problem] = []
    seen: set[tuple[int, int]] = set()
    plain, linked = [root], list[Path]()
    while plain or linked:
        # Links last, so that a folder is known by its own name where it has one below the root.
        folder = plain.pop() if plain else linked.pop(0)
        name = folder.relative_to(root).as_posix()
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            problems.append(Problem(name, "link to a folder that is read under another name"))
            continue
        seen.add((status.st_dev, status.st_ino))
        try:
            entries = [(path, path.is_dir()) for path in sorted(_shown(folder))]
        except OSError as error:
            problems.append(Problem(name, f"folder that cannot be read: {error.strerror}"))
            continue
        for path, is_folder in entries:
            if is_folder:
                (linked if path.is_symlink() else plain).append(path)
            else:
                files[path.relative_to(root).as_posix()] = path
    return dict(sorted(files.items())), problems


def _shown(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        yield from (folder / entry.name for entry in entries if not entry.name.startswith("."))
