"""Training: one explicit loop, and what it stands on."""

from astro_objdet.engine.training.loop import Training, train
from astro_objdet.engine.training.recording import Recorder, Rhythm

__all__ = ["Recorder", "Rhythm", "Training", "train"]
