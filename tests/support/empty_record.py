"""The record of an epoch in which nothing was trained, evaluated or measured, for tests to fill in."""

from clipbench.api import DeviceInfo
from clipbench.training.collectives import MemoryPeaks
from clipbench.training.epoch_record import Hardware, epoch_record
from clipbench.training.state import EpochProgress

HARDWARE = Hardware(DeviceInfo("card", 1), ("host",))
EMPTY_RECORD = epoch_record(0, EpochProgress(), None, None, [MemoryPeaks(None, None)], 8, HARDWARE)
