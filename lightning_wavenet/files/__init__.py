"""Files that are written whole or not at all: of any kind, clips of audio, TextGrids."""
