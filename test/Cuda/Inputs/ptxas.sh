#!/bin/sh
# Says what ptxas could say: ptxas -arch=sm_90a -O3 -v IN -o OUT
cat >&2 <<'LOG'
ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized
ptxas warning : something else
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'running_kernel' for 'sm_90a'
ptxas info    : Function properties for running_kernel
    32 bytes stack frame, 8 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 168 registers, used 3 barriers, 32 bytes cumulative stack size, 1024 bytes smem
LOG
grep -q '.entry running_kernel' "$4" && echo "a cubin of ${1#-arch=}" > "$6"
