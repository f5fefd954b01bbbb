"""Devices that break one promise each. What they compute on is the processor, by numpy."""

import uuid

from clipbench.api import DeviceInfo


class Good:
    name = "good"
    free, total, allocated = 10**9, 10**10, 0
    coarse = early = False
    drift = learners = 0

    def unavailable(self):
        return None

    def others(self):
        return ["process 1 of somebody"]

    def select(self, local_rank):
        pass

    def tune(self, earlier=None):
        return {"kernels": "fast"}

    def info(self):
        return DeviceInfo("a card", 1, total_memory=self.total)

    def precisions(self):
        return ["float32", "bfloat16"]

    def peak_flops(self, precision):
        return 1e12

    def free_memory(self):
        return self.free

    def reset_peak_memory(self):
        self.allocated = 0

    def peak_memory(self):
        return self.allocated

    def environment_variables(self):
        return ["OMP_NUM_THREADS"]


class Cpu(Good):
    name = "cpu"


class SilentlyUnavailable(Good):
    name = "unavailable"

    def unavailable(self):
        return ""


class NoDevices(Good):
    name = "info"

    def info(self):
        return DeviceInfo("a card", 0, total_memory=self.total)


class HalfOnly(Good):
    name = "precisions"

    def precisions(self):
        return ["bfloat16", "float16"]


class CoarseProducts(Good):
    name, coarse = "precision", True


class EarlyClock(Good):
    name, early = "synchronize", True


class ForgetfulTune(Good):
    name = "tune"

    def tune(self, earlier=None):
        return {"kernels": uuid.uuid4().hex}


class UnserialisableTune(Good):
    name = "tune.json"

    def tune(self, earlier=None):
        return {"kernels": float("nan")}


class Drifting(Good):
    name, drift = "seed", 0.1


class CoarseWeights(Good):
    name, rounded = "agreement", True


class NeverReset(Good):
    name = "peak-memory"

    def reset_peak_memory(self):
        pass


class TooSmall(Good):
    name = "peak-memory.small"

    def peak_memory(self):
        return min(self.allocated, 1000)


class MoreThanThereIs(Good):
    name, total, free = "peak-memory.large", 10**5, 10**4


class FreeMoreThanTotal(Good):
    name, free = "free-memory", 10**11


class FlopsInTera(Good):
    name = "peak-flops"

    def peak_flops(self, precision):
        return 312


class OthersAsText(Good):
    name = "others"

    def others(self):
        return "process 1 of somebody"


class OddVariables(Good):
    name = "environment-variables"

    def environment_variables(self):
        return ["OMP NUM THREADS"]


class SelectOnce(Good):
    name = "select"
    selected = 0

    def select(self, local_rank):
        self.selected += 1
        if self.selected > 1:
            raise RuntimeError("the context exists")
