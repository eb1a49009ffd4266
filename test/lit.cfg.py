import os
import shutil

import lit.formats
from lit.llvm import llvm_config

config.name = "Rondo"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".rondo", ".test"]
config.excludes = ["Inputs", "data"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.rondo_obj_root, "test")

for directory in (config.llvm_tools_dir, os.path.join(config.rondo_obj_root, "bin")):
    llvm_config.with_environment("PATH", directory, append_path=True)
config.environment["FILECHECK_OPTS"] = "-enable-var-scope"
config.environment["LLVM_DISABLE_SYMBOLIZATION"] = "1"
config.environment["NO_COLOR"] = "1"

config.substitutions += [
    ("%mixers", os.path.join(config.rondo_src_root, "mixers")),
    ("%data", os.path.join(config.test_source_root, "data")),
    ("%npy", "python3 " + os.path.join(config.rondo_src_root, "scripts", "npy.py")),
]

# What the host can execute.
try:
    with open("/proc/cpuinfo") as cpuinfo:
        flags = next((line.split(":")[1].split() for line in cpuinfo if line.startswith("flags")), [])
except OSError:
    flags = []
for feature, needed in {
    "avx2": {"avx2", "fma"},
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "avx512bf16": {"avx512_bf16"},
}.items():
    if needed <= set(flags):
        config.available_features.add(feature)

# CUDA's assembler, for reports on kernels.
if shutil.which("ptxas") or os.path.exists("/usr/local/cuda/bin/ptxas"):
    config.available_features.add("ptxas")
