#!/bin/sh
# Configures (once) and builds everything; extra arguments go to the build, e.g. `scripts/build.sh --target rondoc`.
set -eu
cd "$(dirname "$0")/.."
[ -f build/build.ninja ] || cmake --preset default
cmake --build build "$@"
