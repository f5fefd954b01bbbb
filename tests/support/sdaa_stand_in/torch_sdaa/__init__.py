"""Stand-in for a vendor's extension of torch, for tests: a device on host memory.

It plays the vendor by whose package name it is imported: as ``torch_sdaa`` it is Tecorigin's, with the device "sdaa",
and through a link called ``torch_npu`` it is Huawei's, with the device "npu".

Device, memory, random and autocast behaviour is real (PrivateUse1 in ``_fake_sdaa.cpp``); arithmetic runs on the CPU
kernels, so it says nothing of the vendor's speed, numerics or missing operators. The first import compiles for about
30 s; renaming PrivateUse1 holds for the whole process, so it belongs in processes of its own.
Knobs: FAKE_SDAA_DEVICES (4), FAKE_SDAA_MEMORY (bytes per device),
FAKE_SDAA_KEEP_PARAMS (1: module.to("sdaa") keeps Parameter objects),
FAKE_SDAA_API (legacy: hides what old vendor builds lack), FAKE_SDAA_BUILD (cache),
FAKE_SDAA_US_PER_MFLOP (0: device time of a product after the call for it has returned, so that there is something to
wait for), FAKE_SDAA_SYNCHRONIZE (1; 0: synchronize does not wait for it),
FAKE_SDAA_ACCELERATOR (1; 0: torch.accelerator does not know the device, as where an extension registers no hooks),
FAKE_SDAA_LACKS (names that its module lacks, with commas), FAKE_SDAA_PEAK (what it says its peak memory is).
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import types
from pathlib import Path

import torch
from torch.utils import cpp_extension

NAME = __name__.removeprefix("torch_")
COLLECTIVES = {"npu": "hccl", "mlu": "cncl", "musa": "mccl"}.get(NAME, "tccl")
__version__ = os.environ.get("FAKE_SDAA_VERSION", "3.2.0")


def _load():
    """Compile once per (source, torch, python); no ninja, no lock file: the result is renamed into place."""
    source = Path(__file__).resolve().parent / "_fake_sdaa.cpp"
    key = hashlib.sha256(source.read_bytes() + f"{torch.__version__}{sys.version}".encode()).hexdigest()[:16]
    root = Path(os.environ.get("FAKE_SDAA_BUILD", Path.home() / ".cache" / "fake_sdaa"))
    path = root / f"_fake_sdaa-{key}.so"
    if not path.exists():
        root.mkdir(parents=True, exist_ok=True)
        fd, tmp = tempfile.mkstemp(suffix=".so", dir=root)
        os.close(fd)
        lib = Path(torch.__file__).parent / "lib"
        cmd = [
            os.environ.get("CXX", "g++"),
            "-std=c++20",
            "-O0",
            "-w",
            "-shared",
            "-fPIC",
            "-DTORCH_EXTENSION_NAME=_fake_sdaa",
            "-DTORCH_API_INCLUDE_EXTENSION_H",
            f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
            *(f"-isystem{d}" for d in [*cpp_extension.include_paths(), sysconfig.get_path("include")]),
            str(source),
            "-o",
            tmp,
            f"-L{lib}",
            f"-Wl,-rpath,{lib}",
            "-lc10",
            "-ltorch_cpu",
            "-ltorch_python",
        ]
        done = subprocess.run(cmd, capture_output=True, text=True)
        if done.returncode:
            Path(tmp).unlink()
            raise ImportError(f"fake torch_sdaa did not compile:\n{done.stderr[-4000:]}")
        Path(tmp).replace(path)
    spec = importlib.util.spec_from_file_location("_fake_sdaa", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


torch.utils.rename_privateuse1_backend(NAME)
_C = _load()

# ---- torch.sdaa, or what else it is called -------------------------------------------------------------
sdaa = types.ModuleType(f"torch.{NAME}")


def _api(fn):
    setattr(sdaa, fn.__name__, fn)
    return fn


def _index(device=None):
    if device is None:
        return _C.current_device()
    if isinstance(device, int):
        return device if device >= 0 else _C.current_device()
    index = torch.device(device).index
    return _C.current_device() if index is None else index


@_api
def is_available():
    return _C.device_count() > 0


@_api
def is_initialized():
    return True


@_api
def init():
    return None


@_api
def _is_in_bad_fork():
    return False


@_api
def _lazy_call(fn):
    fn()


@_api
def device_count():
    return _C.device_count()


@_api
def current_device():
    return _C.current_device()


@_api
def set_device(device):
    _C.set_device(_index(device))


@_api
def synchronize(device=None):
    _C.note_sync()
    if os.environ.get("FAKE_SDAA_SYNCHRONIZE") != "0":
        _C.wait()


@_api
def get_device_name(device=None):
    return "TECO_AICARD_01"


@_api
def get_device_capability(device=None):
    return (1, 0)


@_api
def get_device_properties(device=None):
    # The vendor object has no multi_processor_count.
    return types.SimpleNamespace(name="TECO_AICARD_01", total_memory=_C.total_memory())


@_api
def is_bf16_supported():
    return True


@_api
def get_amp_supported_dtype():
    return [torch.float16, torch.bfloat16]


@_api
def memory_allocated(device=None):
    return _C.memory(_index(device))[0]


@_api
def max_memory_allocated(device=None):
    return int(os.environ.get("FAKE_SDAA_PEAK", _C.memory(_index(device))[1]))


@_api
def reset_peak_memory_stats(device=None):
    _C.reset_peak(_index(device))


@_api
def empty_cache():
    return None


@_api
def mem_get_info(device=None):
    return _C.total_memory() - memory_allocated(device), _C.total_memory()


@_api
def memory_stats(device=None):
    now, peak, count = _C.memory(_index(device))
    return {"allocated_bytes.all.current": now, "allocated_bytes.all.peak": peak, "allocation.all.allocated": count}


sdaa.memory_reserved = memory_allocated
sdaa.max_memory_reserved = max_memory_allocated
sdaa.reset_max_memory_allocated = reset_peak_memory_stats


@_api
def manual_seed(seed):
    _C.default_generator(_C.current_device()).manual_seed(int(seed))


@_api
def manual_seed_all(seed):
    for i in range(device_count()):
        _C.default_generator(i).manual_seed(int(seed))


@_api
def initial_seed():
    return _C.default_generator(_C.current_device()).initial_seed()


@_api
def get_rng_state(device=None):
    return _C.default_generator(_index(device)).get_state()


@_api
def set_rng_state(state, device=None):
    _C.default_generator(_index(device)).set_state(state)


@_api
def get_rng_state_all():
    return [get_rng_state(i) for i in range(device_count())]


@_api
def set_rng_state_all(states):
    for i, state in enumerate(states):
        set_rng_state(state, i)


class device:
    def __init__(self, device):
        self.idx = _index(device)

    def __enter__(self):
        self.prev = _C.current_device()
        _C.set_device(self.idx)

    def __exit__(self, *exc):
        _C.set_device(self.prev)
        return False


class Stream:
    """Work is synchronous here, so a stream only carries its device."""

    def __init__(self, device=None, priority=0):
        self.device = torch.device(NAME, _index(device))

    def synchronize(self):
        _C.note_sync()

    def query(self):
        return True

    def wait_stream(self, stream):
        pass

    def wait_event(self, event):
        pass

    def record_event(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False


class Event:
    def __init__(self, enable_timing=False, blocking=False, interprocess=False):
        self.timing, self.at = enable_timing, None

    def record(self, stream=None):
        self.at = time.perf_counter()

    def wait(self, stream=None):
        pass

    def query(self):
        return True

    def synchronize(self):
        _C.note_sync()

    def elapsed_time(self, end):
        if not (self.timing and end.timing and self.at and end.at):
            raise RuntimeError("both events must be recorded with enable_timing=True")
        return (end.at - self.at) * 1e3


@_api
def current_stream(device=None):
    return Stream(device)


sdaa.default_stream = current_stream
sdaa.device, sdaa.Stream, sdaa.Event, sdaa.stream = device, Stream, Event, lambda s: s
sdaa.default_generators = tuple(_C.default_generator(i) for i in range(device_count()))

# ---- torch_sdaa.amp / torch.sdaa.amp ---------------------------------------
amp = types.ModuleType(f"{__name__}.amp")


class autocast(torch.amp.autocast):
    def __init__(self, enabled=True, dtype=torch.float16, cache_enabled=True):
        super().__init__(NAME, dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class GradScaler(torch.amp.GradScaler):
    def __init__(self, *args, **kw):
        super().__init__(NAME, *args, **kw)


amp.autocast, amp.GradScaler = autocast, GradScaler
amp.is_autocast_enabled = lambda: torch.is_autocast_enabled(NAME)
sdaa.amp = amp

# torch.backends.sdaa: without enable_flash_sdp(True) the vendor's SDPA silently runs the math path.
_flags = {"flash": False, "math": True, "mem_efficient": False}
backend = types.ModuleType(f"torch.backends.{NAME}")
for _name in _flags:
    setattr(backend, f"enable_{_name}_sdp", lambda on, n=_name: _flags.__setitem__(n, bool(on)))
    setattr(backend, f"{_name}_sdp_enabled", lambda n=_name: _flags[n])
setattr(torch.backends, NAME, backend)
sys.modules[backend.__name__] = backend

if os.environ.get("FAKE_SDAA_API") == "legacy":  # roughly torch_sdaa 1.x on PyTorch 2.0
    for _name in ("mem_get_info", "memory_stats", "get_device_capability", "is_bf16_supported", "get_device_name"):
        delattr(sdaa, _name)
    delattr(torch.backends, NAME)
    del sys.modules[backend.__name__]
    autocast.__init__ = lambda self, enabled=True: torch.amp.autocast.__init__(
        self, NAME, dtype=torch.float16, enabled=enabled
    )
for _name in filter(None, os.environ.get("FAKE_SDAA_LACKS", "").split(",")):
    delattr(sdaa, _name)

if os.environ.get("FAKE_SDAA_ACCELERATOR") == "0":
    torch.accelerator.current_accelerator = lambda check_available=False: None

torch._register_device_module(NAME, sdaa)
torch.utils.generate_methods_for_privateuse1_backend()
sys.modules[f"torch.{NAME}"] = sdaa
sys.modules[f"{__name__}.amp"] = sys.modules[f"torch.{NAME}.amp"] = amp

if torch.distributed.is_available():
    from . import _tccl  # noqa: F401  registers the "tccl" backend
