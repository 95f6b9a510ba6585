"""What passes between corpora and models: requests, batches, and the names behind their indices."""

from lightning_wavenet.data.batch import Batch, Request
from lightning_wavenet.data.vocabulary import Vocabulary

__all__ = ["Batch", "Request", "Vocabulary"]
