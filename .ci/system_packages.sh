#!/bin/sh
# Install the system tools that the tests and the demo use, or say exactly what is missing.
# penjing itself needs none of them: emulators run ARM libraries and programs of boards, cross
# compilers link them faster than the `ziglang` wheel does, valgrind checks memory, PoCL is a device
# of OpenCL on the CPU and oclgrind one that checks kernels.
set -eu

missing=""
need() { # need COMMAND PACKAGES...
    command -v "$1" >/dev/null 2>&1 && return
    shift
    missing="$missing $*"
}

need gcc gcc libc6-dev
need qemu-aarch64 qemu-user
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
need arm-linux-gnueabihf-gcc gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
need qemu-system-arm qemu-system-arm
need arm-none-eabi-gcc gcc-arm-none-eabi
need valgrind valgrind libc6-dbg
need oclgrind oclgrind
set -- /etc/OpenCL/vendors/*.icd
[ -e "$1" ] || missing="$missing pocl-opencl-icd ocl-icd-libopencl1"
[ -n "$missing" ] || exit 0

as_root=none
if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    fi
fi
if [ "$as_root" != none ]; then
    echo "installing system packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # a list of words
    if $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends $missing; then
        exit 0
    fi
fi
cat >&2 <<MESSAGE
These system packages are missing and could not be installed (Debian's names):
   $missing
Tests that need them are skipped, and the demo needs qemu-user. With root rights:
    apt-get install$missing
MESSAGE
