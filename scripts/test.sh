#!/bin/sh
# Installs, builds, checks the format and runs every test. The last line is `N passed, N failed`; the exit status says the same.
set -u
cd "$(dirname "$0")/.." || exit 1
scripts/setup.sh || exit 1
scripts/build.sh || exit 1

passed=0
failed=0
count() { # NAME STATUS
  if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAIL: $1"; fi
}

git ls-files -z '*.cpp' '*.h' '*.c' | xargs -0 clang-format-22 --dry-run --Werror
count "clang-format" $?

log=$(mktemp)
trap 'rm -f "$log"' EXIT
timeout 4200 /usr/lib/llvm-22/bin/lit -sv build/test 2>&1 | tee "$log"
# Numbers of the summary, such as `  Passed  : 120 (98.36%)`; anything that is not a pass or unsupported is a failure.
sum() { awk -F'[:(]' -v names="$1" '$1 ~ "^ *(" names ") *$" { n += $2 } END { print n + 0 }' "$log"; }
passed=$((passed + $(sum 'Passed|Expectedly Failed')))
failed=$((failed + $(sum 'Failed|Timed Out|Unresolved|Unexpectedly Passed')))
grep -q 'Total Discovered Tests' "$log"
count "lit ran" $?

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
