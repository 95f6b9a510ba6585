"""Corpora: from their original layout on disk to batches."""

from datamodules.audio_folder import AudioFolderDataModule
from datamodules.augmentation import Augmentation
from datamodules.base import AudioDataModule
from datamodules.cache import Audio
from datamodules.clips import Clips
from datamodules.crops import Crops
from datamodules.description import Amount, Description, Spread
from datamodules.fields import FIELDS, Field
from datamodules.ljspeech import LJSpeechDataModule
from datamodules.magnatagatune import MagnaTagATuneDataModule
from datamodules.records import Listing, Problem, Record, SplitName
from datamodules.splits import Split
from datamodules.timit import TIMITDataModule
from datamodules.vctk import VCTKDataModule
from lightning_wavenet.text.phones import Phone

__all__ = [
    "FIELDS",
    "Amount",
    "Audio",
    "AudioDataModule",
    "AudioFolderDataModule",
    "Augmentation",
    "Clips",
    "Crops",
    "Description",
    "Field",
    "LJSpeechDataModule",
    "Listing",
    "MagnaTagATuneDataModule",
    "Phone",
    "Problem",
    "Record",
    "Split",
    "SplitName",
    "Spread",
    "TIMITDataModule",
    "VCTKDataModule",
]
