#!/usr/bin/env python3
"""Times compiled mixers on one NVIDIA GPU beside flash-linear-attention, in one run, and prints Markdown.

  scripts/build.sh --target rondoc && python3 benchmarks/gpu.py > benchmarks/latest.md
  python3 benchmarks/gpu.py --only gla,kda --shape 1,65536,16
  python3 benchmarks/gpu.py --variants a b       # also times the libraries that `rondoc compile -o a` and `-o b` wrote

Needs rondoc and Python with torch; flash-linear-attention where it is to be compared (`pip install flash-linear-attention`, or its
folder on PYTHONPATH). Times are medians of device events with what keeps the host ahead of the device, forward only, tokens in bf16.
The floor is the time to read every input and write every output once at the rate of a copy measured in the same run. Errors are
|o - ref| / |ref| against the interpreter (float64) on four heads. Every measurement has a process of its own: one that fails or
hangs costs its own figure only.
"""
import argparse
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gpu_mixer  # noqa: E402
import gpu_peers  # noqa: E402
from gpu_mixer import ROOT, Mixer, compile_command, explain, make_tensors, mixer_names, mixer_path, tolerance  # noqa: E402

# What the figures are about, in this order; the other mixers follow.
TITLES = {"linear_attention": "linear attention", "retnet": "RetNet", "mamba2": "scalar gate (Mamba-2)", "gla": "GLA", "mlstm": "mLSTM",
          "delta_net": "DeltaNet", "gated_delta_net": "Gated DeltaNet", "kda": "KDA", "hla2": "HLA second order"}

SIMT_REMARK = "runs on CUDA cores"  # what rondoc says about a kernel that is not of tiles


def measure(torch, call, seconds=0.3, most=50):
    """Milliseconds of `call` on the device: median, 10th and 90th percentile, runs."""
    synchronize = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    call()
    synchronize()
    begin = time.perf_counter()
    call()
    host = time.perf_counter() - begin
    synchronize()
    once = time.perf_counter() - begin
    runs = max(3, min(most, int(seconds / once)))
    if torch.cuda.is_available():
        pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(runs)]
        # Busy the device, so that no time between two events is the host's.
        torch.cuda._sleep(int(min(2 * runs * host, 0.5) * 2e9))
        for start, end in pairs:
            start.record()
            call()
            end.record()
        synchronize()
        times = [start.elapsed_time(end) for start, end in pairs]
    else:
        times = []
        for _ in range(runs):
            begin = time.perf_counter()
            call()
            times.append(1e3 * (time.perf_counter() - begin))
    times.sort()
    return {"ms": statistics.median(times), "low": times[len(times) // 10], "high": times[-1 - len(times) // 10], "runs": runs}


def ceilings(device):
    import torch
    size = 1 << (29 if device == "cuda" else 20)
    source = torch.randn(size, device=device).bfloat16()
    target = torch.empty_like(source)
    copy = measure(torch, lambda: target.copy_(source))["ms"]
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    return {"device": name, "torch": torch.__version__, "copy_bytes_per_s": 4 * size / copy * 1e3}


def sample(shape):
    B, _, H = shape
    return sorted({(b, h) for b in (0, B - 1) for h in (0, H - 1)})


def take(tensor, layout, heads):
    """The sampled heads of a token array or a parameter, in f32: [T, n, ...] or [n, ...]."""
    import torch
    parts = [tensor[b, :, h] if layout.startswith("[B, T, H") else tensor[h] for b, h in heads]
    return torch.stack(parts, 1 if layout.startswith("[B, T, H") else 0).float().cpu().numpy()


def time_ours(folder, shape, device, seconds, samples):
    """Runs the library in `folder`; leaves the sampled heads of inputs and outputs in the folder `samples`."""
    import numpy
    import torch
    mixer = Mixer(folder)
    tensors = make_tensors(torch, mixer, *shape, device)
    call = mixer.load(tensors)
    begin = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    first = time.perf_counter() - begin
    result = {"first_ms": 1e3 * first, "bytes": sum(t.numel() * t.element_size() for t in tensors.values())}
    kept = {name: tensors[name].clone() for name in mixer.outputs}
    result["finite"] = all(bool(torch.isfinite(t).all()) for t in kept.values())
    for name, (layout, _) in {**mixer.inputs, **mixer.outputs}.items():
        numpy.save(os.path.join(samples, name + ".npy"), take(tensors[name], layout, sample(shape)))
    result.update(measure(torch, call, seconds))
    result["repeats"] = all(torch.equal(kept[name], tensors[name]) for name in kept)
    return result


def time_peer(folder, shape, device, seconds, samples):
    import numpy
    import torch
    mixer = Mixer(folder)
    tensors = make_tensors(torch, mixer, *shape, device)
    gpu_peers.tune_quickly(lambda call: measure(torch, call, 0.015, 20)["ms"], max(2, os.cpu_count() - 2))
    with torch.no_grad():
        call = gpu_peers.load(mixer.name, tensors)
        begin = time.perf_counter()
        output = call()
        torch.cuda.synchronize()
        first = time.perf_counter() - begin
        name, (layout, _) = next(iter(mixer.outputs.items()))
        numpy.save(os.path.join(samples, "peer.npy"), take(output.view(mixer.shape(layout, *shape)), layout, sample(shape)))
        return {"first_ms": 1e3 * first, "output": name, **measure(torch, call, seconds)}


def isolated(seconds, function, *arguments):
    """What `function` returns, from a process of its own; a dictionary with `failed` when it does not return in time."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run():
        try:
            sender.send(function(*arguments))
        except BaseException as error:  # also what is no Exception: the parent has to hear of it
            sender.send({"failed": f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]})

    process = context.Process(target=run)
    process.start()
    sender.close()
    try:
        result = receiver.recv() if receiver.poll(max(1.0, seconds)) else {"failed": f"no answer in {seconds:.0f} s"}
    except EOFError:
        process.join()
        result = {"failed": f"ended with {process.exitcode}"}
    if "failed" not in result:
        process.join(5)
    process.kill()
    process.join()
    return result


def relative_error(path, reference):
    import numpy
    value, expected = numpy.load(path).astype("f8"), numpy.load(reference).astype("f8")
    return float(numpy.linalg.norm(value - expected) / max(numpy.linalg.norm(expected), 1e-30))


class Reference:
    """The interpreter on the sampled heads of one library's inputs, beside the measurements."""

    def __init__(self, rondoc, mixer, samples):
        self.samples, self.mixer = samples, mixer
        file = lambda name, prefix="": f"{name}={os.path.join(samples, prefix + name)}.npy"
        self.process = subprocess.Popen(
            ["nice", rondoc, "run", mixer_path(mixer.name), "--target=interpreter", "--in", *map(file, mixer.inputs), "--out",
             *(file(name, "reference-") for name in mixer.outputs)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def errors(self, row, seconds):
        """Adds what ours and the peer's outputs differ by."""
        path = lambda name: os.path.join(self.samples, name + ".npy")
        try:
            text = self.process.communicate(timeout=max(1.0, seconds))[1]
            if self.process.returncode:
                raise RuntimeError(text.strip().splitlines()[-1] if text.strip() else "failed")
            row["ours"]["error"] = max(relative_error(path(n), path("reference-" + n)) for n in self.mixer.outputs)
            if os.path.exists(path("peer")):
                row["peer"]["error"] = relative_error(path("peer"), path("reference-" + row["peer"]["output"]))
        except Exception as error:
            self.process.kill()
            row["ours"]["failed"] = f"no reference: {error}"


def is_right(row):
    ours = row["ours"]
    return "failed" not in ours and ours["finite"] and ours["repeats"] and ours.get("error", math.inf) <= row["tolerance"]


def markdown(machine, shape, rows):
    B, T, H = shape
    lines = [f"# rondoc on {machine['device']}", "",
             f"B={B} T={T} H={H}, tokens bf16, forward; torch {machine['torch']}; "
             f"a copy moves {machine['copy_bytes_per_s'] * 1e-12:.2f} TB/s.", "",
             "| class | sizes | floor ms | FLA ms | ours ms | 10 to 90 % | ours / floor | FLA / ours | error | FLA error | |",
             "|---|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        ours, peer = row["ours"], row.get("peer", {})
        ms = lambda figures: f"{figures['ms']:.3f}" if "ms" in figures else "-"
        error = lambda figures: f"{figures['error']:.1e}" if "error" in figures else "-"
        ratio = lambda a, b: f"{a / b:.2f}" if a and b else "-"
        remark = "; ".join(filter(None, [
            row.get("path"), ours.get("failed"), None if ours.get("finite", True) else "NOT FINITE",
            None if ours.get("repeats", True) else "NOT THE SAME TWICE",
            None if ours.get("error", 0) <= row["tolerance"] else "WRONG", peer.get("failed") and f"FLA: {peer['failed']}"]))
        lines.append("| " + " | ".join([
            row["title"], row["sizes"], f"{row['floor_ms']:.3f}" if "floor_ms" in row else "-", ms(peer), ms(ours),
            f"{ours['low']:.3f} to {ours['high']:.3f}" if "low" in ours else "-", ratio(ours.get("ms"), row.get("floor_ms")),
            ratio(peer.get("ms"), ours.get("ms")), error(ours), error(peer), remark[:160].replace("|", "/")]) + " |")
    return "\n".join(lines) + "\n"


def save(folder, machine, shape, rows):
    """Writes gpu.md and gpu.json, if there is a folder to write to; returns the table."""
    table = markdown(machine, shape, rows)
    if folder:
        with open(os.path.join(folder, "gpu.md"), "w") as file:
            file.write(table)
        with open(os.path.join(folder, "gpu.json"), "w") as file:
            json.dump({"machine": machine, "shape": shape, "rows": rows}, file, indent=1)
    return table


def compile_all(rondoc, names, size, folder, target, jobs, options=()):
    """Compiles to folder/<mixer>; `log` there has what rondoc said and `seconds`."""
    def one(name):
        output = os.path.join(folder, name)
        os.makedirs(output, exist_ok=True)
        begin = time.monotonic()
        try:
            done = subprocess.run(compile_command(rondoc, name, size, output, target, options), capture_output=True, text=True, timeout=120)
            text, code = done.stdout + done.stderr, done.returncode
        except (subprocess.SubprocessError, OSError) as error:
            text, code = str(error), 1
        seconds = time.monotonic() - begin
        with open(os.path.join(output, "log"), "w") as file:
            file.write(f"{text}\nseconds={seconds:.2f}\n")
        errors = [line for line in text.splitlines() if "error:" in line] or text.splitlines()[-1:]
        print(f"{name}: " + (f"compiled in {seconds:.1f} s" if code == 0 else f"FAILED: {errors[0] if errors else code}"),
              file=sys.stderr, flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, names))


def find_kernels(folder):
    """Name -> folder of its library."""
    folders = [folder, *sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())]
    found = {}
    for path in folders:
        for file in os.listdir(path):
            if file.startswith("lib") and file.endswith(".so"):
                found[file[3:-3]] = path
    return found


def read_path(folder):
    """Whether the kernel is of tiles or of single threads, from what rondoc said."""
    try:
        with open(os.path.join(folder, "log")) as file:
            return "SIMT" if SIMT_REMARK in file.read() else "tile"
    except OSError:
        return None


class Case:
    """One library, its row of the table, and the folder with the sampled heads of its arrays."""

    def __init__(self, name, title, folder, samples):
        self.name, self.title, self.folder, self.samples = name, title, folder, samples
        self.row = {"mixer": name, "title": title, "sizes": ""}


def list_cases(names, kernels, variants, work):
    libraries = find_kernels(kernels)
    others = [(os.path.basename(os.path.normpath(folder)), find_kernels(folder)) for folder in variants]
    found = []
    for name in names:
        title = TITLES.get(name, name)
        found.append((name, title, libraries.get(name)))
        found += [(name, f"{title}, {label}", folders[name]) for label, folders in others if name in folders]
    return [Case(*case, os.path.join(work, "samples", str(index))) for index, case in enumerate(found)]


def say(title, figures):
    print(f"{title}: {figures.get('failed') or '%.3f ms' % figures['ms']}", file=sys.stderr, flush=True)


def time_cases(cases, machine, shape, device, options, left):
    """Fills `ours` of every row; returns what computes the references meanwhile."""
    references = []
    for case in cases:
        row = case.row
        row["tolerance"] = tolerance(explain(options.rondoc, case.name))
        if not case.folder or left() < 15:
            row["ours"] = {"failed": "left out: no time" if case.folder else "not compiled"}
            continue
        mixer = Mixer(case.folder)
        row.update(sizes=" ".join(f"{n}={v}" for n, v in mixer.sizes.items()), path=None if device == "cpu" else read_path(case.folder))
        os.makedirs(case.samples)
        row["ours"] = isolated(min(30, left()), time_ours, case.folder, shape, device, options.seconds, case.samples)
        say(case.title, row["ours"])
        if "failed" not in row["ours"]:
            row["floor_ms"] = 1e3 * row["ours"]["bytes"] / machine["copy_bytes_per_s"]
            references.append((row, Reference(options.rondoc, mixer, case.samples)))
    return references


def time_peers(cases, shape, device, options, left):
    """Fills `peer` of the first row of every mixer that has one."""
    seen = set()
    for case in cases:
        if case.name in seen or case.name not in gpu_peers.PEERS or not os.path.isdir(case.samples):
            continue
        seen.add(case.name)
        if left() < 30:
            case.row["peer"] = {"failed": "left out: no time"}
            continue
        case.row["peer"] = isolated(min(options.peer_seconds, left() - 15), time_peer, case.folder, shape, device, options.seconds,
                                    case.samples)
        say(f"FLA, {case.title}", case.row["peer"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rondoc", default=os.path.join(ROOT, "build/bin/rondoc"))
    parser.add_argument("--only", help="mixers, with commas between (default: all)")
    parser.add_argument("--shape", default="8,4096,16", help="B,T,H (default: %(default)s)")
    parser.add_argument("--size", type=int, default=128, help="of every named size, in what is compiled here (default: %(default)s)")
    parser.add_argument("--kernels", help="folder with libraries (default: compile them)")
    parser.add_argument("--variants", nargs="*", default=[], help="folders with more libraries of the same mixers, for rows of their own")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--budget", type=float, default=600, help="seconds for all; what does not fit is left out (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.3, help="of runs for a figure (default: %(default)s)")
    parser.add_argument("--peer-seconds", type=float, default=60, help="for one peer, its tuning included (default: %(default)s)")
    parser.add_argument("--choices", help="archive of the peers' tuning: read when it exists, written at the end")
    parser.add_argument("--out", help="folder for gpu.md and gpu.json")
    parser.add_argument("--cpu", action="store_true", help="a dry run without a GPU: CPU kernels, no peers")
    options = parser.parse_args()
    end = time.monotonic() + options.budget
    left = lambda: end - time.monotonic()
    device = "cpu" if options.cpu else "cuda"
    with_peers = not options.cpu and not options.no_peers
    shape = tuple(map(int, options.shape.split(",")))
    names = options.only.split(",") if options.only else mixer_names()
    names.sort(key=lambda n: (list(TITLES).index(n) if n in TITLES else len(TITLES), n))

    with tempfile.TemporaryDirectory() as work:
        kernels = options.kernels or os.path.join(work, "kernels")
        if not options.kernels:
            compile_all(options.rondoc, names, options.size, kernels, device, os.cpu_count())
        cache = os.environ.setdefault("TRITON_CACHE_DIR", os.path.join(work, "triton"))
        os.makedirs(cache, exist_ok=True)
        if options.choices:
            gpu_peers.keep_choices(options.choices, cache, save=False)
        # Once, for all the processes to come. None of it starts CUDA, as fla does.
        for module in ("numpy", "torch", *(("triton", "torch._dynamo") if with_peers else ())):
            try:
                __import__(module)
            except Exception as error:
                print(f"no {module}: {error}", file=sys.stderr)
        machine = isolated(60, ceilings, device)
        if "failed" in machine:
            sys.exit(f"gpu.py: {machine['failed']}")

        cases = list_cases(names, kernels, options.variants, work)
        rows = [case.row for case in cases]
        references = time_cases(cases, machine, shape, device, options, left)
        save(options.out, machine, shape, rows)  # in case that we are stopped
        if with_peers:
            time_peers(cases, shape, device, options, left)
        for row, reference in references:
            reference.errors(row, left())
        if options.choices and with_peers:
            gpu_peers.keep_choices(options.choices, cache, save=True)
    print(save(options.out, machine, shape, rows))
    return not all(is_right(row) for row in rows)


if __name__ == "__main__":
    sys.exit(main())
