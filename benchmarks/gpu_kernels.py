#!/usr/bin/env python3
"""The time of each kernel of compiled mixers, where a mixer is several: medians are gpu.py's, this says what they consist of.

gpu_kernels.py FOLDER...: folders from `rondoc compile --target=cuda`. B=8 T=4096 H=16, means of 20 calls by torch's profiler.
"""
import sys
import warnings

import gpu_mixer


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip())
        return 0 if {"-h", "--help"} & set(sys.argv) else 2
    import torch
    from torch.profiler import ProfilerActivity, profile

    warnings.filterwarnings("ignore")
    for folder in sys.argv[1:]:
        mixer = gpu_mixer.Mixer(folder)
        call = mixer.load(gpu_mixer.make_tensors(torch, mixer, 8, 4096, 16, "cuda"))
        for _ in range(5):
            call()
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            for _ in range(20):
                call()
            torch.cuda.synchronize()
        for event in profiled.key_averages():
            if "_kernel" in event.key:
                print(f"{event.key:<40} {event.device_time:8.1f} us")
    return 0


if __name__ == "__main__":
    sys.exit(main())
