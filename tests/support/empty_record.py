"""Hardware of nothing, and the record of an epoch in which nothing was trained or measured, for tests to fill in."""

from clipbench.api import DeviceInfo, World
from clipbench.training.collectives import MemoryPeaks, SingleRank
from clipbench.training.epoch_record import epoch_record
from clipbench.training.hardware import Hardware
from clipbench.training.state import EpochProgress

HARDWARE = Hardware(None, None, "float32", {}, World(), SingleRank(), DeviceInfo("card", 1), ("host",))
EMPTY_RECORD = epoch_record(0, EpochProgress(), None, None, [MemoryPeaks(None, None)], 8, HARDWARE)
