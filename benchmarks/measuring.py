"""What every benchmark shares: clocks, peak memory, fresh processes, the machine in words, and tables.

Import it before torch: it makes the settings of the process that the package's commands make, for every scheme alike.
"""

import argparse
import csv
import ctypes
import gc
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

from mcnet_lightning.cli.process import M_MMAP_THRESHOLD, M_TOP_PAD, M_TRIM_THRESHOLD, tune_process

tune_process()

RESULTS = Path(__file__).parent / "results"
PROCESS = Path("/proc/self")
LARGE = 2**17  # bytes
CPU_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class Seconds:
    """Of all threads together, and on the clock."""

    cpu: float
    wall: float


def clock() -> float:
    """Seconds, read when a GPU has done all that was asked of it."""
    cuda = _cuda_in_use()
    if cuda:
        cuda.synchronize()
    return time.perf_counter()


def timed(work: Callable[[], object]) -> Seconds:
    wall, cpu = clock(), time.process_time()
    work()
    return Seconds(wall=clock() - wall, cpu=time.process_time() - cpu)


def interleaved(works: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, Seconds]:
    """Median time of each work. Every round runs each of them once, so that a busy spell hits all alike."""
    rounds = [{name: timed(work) for name, work in works.items()} for _ in range(repetitions)]
    return {
        name: Seconds(*(statistics.median(getattr(each[name], clock) for each in rounds) for clock in ("cpu", "wall")))
        for name in works
    }


def return_memory_at_once() -> None:
    """Makes glibc give every large tensor pages of its own and take them back when it is freed: slow, but exact.

    Otherwise peak memory depends by a factor of three on how the heap happens to be fragmented. Call it first thing
    in a fresh process; there is no way back.
    """
    if sys.platform == "linux":
        for parameter, value in ((M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, LARGE), (M_TOP_PAD, 0)):
            ctypes.CDLL(None).mallopt(parameter, value)


def added_memory(work: Callable[[], object]) -> float:
    """MiB by which resident memory rose at most while `work` ran, or the tensors of the GPU in use; NaN for a CPU off
    Linux, which cannot tell.
    """
    cuda = _cuda_in_use()
    if cuda:
        before = cuda.memory_allocated()
        cuda.reset_peak_memory_stats()
        work()
        return (cuda.max_memory_allocated() - before) / 2**20
    if not (PROCESS / "clear_refs").exists():
        work()
        return float("nan")
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    (PROCESS / "clear_refs").write_text("5")  # resets the high-water mark
    before = _kibibytes("VmRSS")
    work()
    return (_kibibytes("VmHWM") - before) / 1024


def in_fresh_process(function: Callable[..., Any], *arguments: object) -> Any:
    """function(*arguments) in a new interpreter that nothing has warmed. BrokenProcessPool if the system killed it."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def has_matrix_units() -> bool:
    """Whether the CPU multiplies bfloat16 matrices in hardware (AMX)."""
    return "amx_bf16" in _cpu("flags").split()


def machine(device: str) -> dict[str, str]:
    """The machine in words, with all that moves a figure: units, threads, allocator, versions, load."""
    import torch

    from mcnet_lightning.denoisers.convolution import fusing_works
    from mcnet_lightning.equilibrium.precision import half_pays

    flags = _cpu("flags").split()
    allocator = {name: value for name, value in os.environ.items() if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    allocator |= {"LD_PRELOAD": os.environ["LD_PRELOAD"]} if os.environ.get("LD_PRELOAD") else {}
    waiting = [f"{name}={os.environ[name]}" for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT") if name in os.environ]
    packages = [f"{name} {metadata.version(name)}" for name in ("torchdeq", "deepinv") if util.find_spec(name)]
    gpu = {"GPU": torch.cuda.get_device_name(), "TF32": "off for all"} if device == "cuda" else {}
    return {
        **gpu,
        "CPU": f"{_cpu('model name') or platform.processor()}, {os.cpu_count()} cores",
        "flags": ", ".join(name for name in CPU_FEATURES if name in flags) or "none of " + ", ".join(CPU_FEATURES),
        "half precision pays": "yes" if half_pays(torch.device(device)) else "no",
        "fused convolutions": ", ".join(
            f"{dtype}: {'yes' if fusing_works(dtype) else 'no'}" for dtype in (torch.float32, torch.bfloat16)
        ),
        "threads": ", ".join([str(torch.get_num_threads()), *waiting]),
        "allocator": ", ".join(f"{name}={value}" for name, value in allocator.items())
        or "keeps what is freed, as in the commands",
        "versions": ", ".join([f"torch {torch.__version__}", *packages, f"Python {platform.python_version()}"]),
        "load when it began": f"{os.getloadavg()[0]:.1f} (above 0.5 the machine was busy)",
    }


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(name: str, output: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the rows as a Markdown table and writes them to `output`/`name`.csv; None and NaN become empty cells."""
    cells = [[cell(row[column]) for column in columns] for row in rows]
    print(markdown(columns, cells), flush=True)
    write_csv(output / f"{name}.csv", columns, cells)


def write_csv(path: Path, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *cells])


def cell(value: object) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def arguments(description: str) -> argparse.ArgumentParser:
    """--smoke, --output and --device, which every benchmark has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does it run? Its figures mean nothing")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results (%(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute (%(default)s)")
    return parser


def prepare(device: str) -> None:
    """Makes this process ready to compute there, without TF32, in which no solver reaches its tolerance."""
    import torch

    from mcnet_lightning.equilibrium.precision import FLOAT32_PRODUCTS

    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("--device cuda: this machine has no usable GPU")
    torch.empty(0, device=device)  # from here on the clock waits for a GPU
    for products in FLOAT32_PRODUCTS:
        products.fp32_precision = "ieee"


def _cuda_in_use() -> Any:
    """torch.cuda if this process computes there."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch and torch.cuda.is_initialized() else None


def _kibibytes(field: str) -> int:
    return int(_fields(PROCESS / "status")[field].split()[0])


def _cpu(field: str) -> str:
    path = Path("/proc/cpuinfo")
    return _fields(path).get(field, "") if path.exists() else ""


def _fields(path: Path) -> dict[str, str]:
    """`name : value` lines; where a name repeats (one block per core) the last one stands."""
    pairs = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
