"""Corpora: from their original layout on disk to batches."""

from datamodules.audio_folder import AudioFolderDataModule
from datamodules.augmentation import Augmentation
from datamodules.base import AudioDataModule
from datamodules.cache import Audio
from datamodules.crops import Crops
from datamodules.description import Amount, Description, Spread
from datamodules.ljspeech import LJSpeechDataModule
from datamodules.records import Listing, Phone, Problem, Record, SplitName
from datamodules.splits import Split
from datamodules.timit import TIMITDataModule
from datamodules.vctk import VCTKDataModule

__all__ = [
    "Amount",
    "Audio",
    "AudioDataModule",
    "AudioFolderDataModule",
    "Augmentation",
    "Crops",
    "Description",
    "LJSpeechDataModule",
    "Listing",
    "Phone",
    "Problem",
    "Record",
    "Split",
    "SplitName",
    "Spread",
    "TIMITDataModule",
    "VCTKDataModule",
]
