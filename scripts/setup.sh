#!/bin/sh
# Installs what Rondo needs on Debian 12 (as root or with sudo). Quick when everything is there.
set -eu

packages="libmlir-22-dev mlir-22-tools llvm-22-dev llvm-22-tools clang-22 clang-format-22 lld-22 libomp-22-dev
  cmake ninja-build ccache libcli11-dev libdlpack-dev libgtest-dev python3 python3-numpy git"

missing=
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then sudo=; else sudo=sudo; fi
export DEBIAN_FRONTEND=noninteractive
echo "installing:$missing"
$sudo apt-get update -q

# LLVM 22 comes with Debian's security updates; older mirrors lack it, so ask LLVM's own archive then.
if ! apt-cache show libmlir-22-dev >/dev/null 2>&1; then
  $sudo apt-get install -qy --no-install-recommends ca-certificates wget gnupg
  wget -qO- https://apt.llvm.org/llvm-snapshot.gpg.key | gpg --dearmor | $sudo tee /usr/share/keyrings/apt.llvm.org.gpg >/dev/null
  echo "deb [signed-by=/usr/share/keyrings/apt.llvm.org.gpg] https://apt.llvm.org/bookworm/ llvm-toolchain-bookworm-22 main" |
    $sudo tee /etc/apt/sources.list.d/apt.llvm.org-22.list >/dev/null
  $sudo apt-get update -q
fi
# shellcheck disable=SC2086 # one word a package
$sudo apt-get install -qy --no-install-recommends $missing
