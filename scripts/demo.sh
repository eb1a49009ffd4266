#!/bin/sh
# From a fresh Debian 12 to a compiled mixer: installs, builds, compiles mixers/gated_delta_net.rondo, runs it on activations of a
# trained model, compares with the float64 reference, and times the chunk form against the token form.
set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh --target rondoc

rondoc=build/bin/rondoc
mixer=mixers/gated_delta_net.rondo
data=test/data/real/gated_delta_net
inputs="q=$data/q.npy k=$data/k.npy v=$data/v.npy g=$data/g.npy beta=$data/beta.npy"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

say() { printf '\n%s\n' "== $*"; }

say "What one token does: $mixer"
cat $mixer

say "What the compiler makes of it: rondoc explain"
$rondoc explain $mixer

say "A shared object and a C header: rondoc compile"
$rondoc compile $mixer -o "$out" --size K=64 V=64

say "On real activations (256 tokens, 2 heads), against the float64 reference: rondoc run --expect"
# shellcheck disable=SC2086 # one word an array
$rondoc run $mixer --in $inputs --expect o=$data/o.npy

say "Speed on 4096 tokens, 16 heads, K = V = 128, one thread"
size=1,4096,16
for array in q k; do python3 scripts/npy.py make "$out/$array.npy" $size,128 unit; done
python3 scripts/npy.py make "$out/v.npy" $size,128
python3 scripts/npy.py make "$out/g.npy" $size -0.5:0
python3 scripts/npy.py make "$out/beta.npy" $size 0:1
for form in chunk sequential; do
  printf '%-10s ' $form
  $rondoc run $mixer --form=$form --threads=1 --time \
    --in "q=$out/q.npy" "k=$out/k.npy" "v=$out/v.npy" "g=$out/g.npy" "beta=$out/beta.npy"
done
