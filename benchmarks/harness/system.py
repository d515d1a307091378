"""Kernel-bound programs, on each guest kernel: TCG's time over ours, and ours over native's.

They run as the compute programs do (compute.py). What they need beside themselves, busybox and a compiler, is
put natively and in the guest at the same place relative to them.
"""

import os
import shutil
import subprocess
from statistics import median

from harness import compute, initramfs
from harness.peers import Failed

LIBRARIES = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0")
COMPILER = {"tcc": "usr/bin/tcc", "ld-linux.so.2": "lib/ld-linux.so.2",
            **{name: "lib/i386-linux-gnu/" + name for name in LIBRARIES}}


def prepare_busybox(base, directory):
    """The guest's own busybox, for the host: a static 32-bit program."""
    data = initramfs.extract(base, "bin/busybox")
    if not data:
        raise Failed(f"no busybox in {base}")
    path = os.path.join(directory, "busybox")
    if not os.path.exists(path) or os.path.getsize(path) != len(data):
        with open(path, "wb") as f:
            f.write(data)
    os.chmod(path, 0o755)


def prepare_compiler(scripts_guest, directory):
    """{name in the guest: path} of tcc and its library from Debian's packages; empty when they cannot be had."""
    target = os.path.join(directory, "compiler")
    if not all(os.path.exists(os.path.join(target, name)) for name in COMPILER):
        unpacked = os.path.join(directory, "packages")
        command = [scripts_guest, "--unpack", unpacked, "tcc", "libc6"]
        if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
            return {}
        os.makedirs(target, exist_ok=True)
        for name, path in COMPILER.items():
            shutil.copy(os.path.join(unpacked, path), os.path.join(target, name))
        shutil.rmtree(unpacked)
    return {"compiler/" + name: os.path.join(target, name) for name in COMPILER}


def measure(peers, kernels, initrd, programs, runs, limit_ms, progress):
    """{kernel: {program: {peer: [sample]}}}"""
    return {kernel: compute.measure(peers, path, initrd, programs, runs, limit_ms,
                                    lambda text, kernel=kernel: progress(f"{kernel}: {text}"))
            for kernel, path in kernels.items()}


def operation_ns(samples):
    return median(s["ns"] / s["operations"] for s in samples)


def metrics(results):
    """system.KERNEL.PROGRAM.PEER: nanoseconds; .PEER.native: of native; .speedup: TCG's time over ours; .over_translated."""
    out = {}
    for kernel, by_program in results.items():
        for program, by_peer in by_program.items():
            name = f"system.{kernel}.{program.split('/')[-1]}"
            ns = {peer: operation_ns(samples) for peer, samples in by_peer.items() if samples}
            for peer, value in ns.items():
                out[f"{name}.{peer}"] = value
                if peer != "native" and "native" in ns:
                    out[f"{name}.{peer}.native"] = value / ns["native"]
            if "ringfence" in ns and "qemu-tcg" in ns:
                out[f"{name}.speedup"] = ns["qemu-tcg"] / ns["ringfence"]
            out |= compute.over_translated(name, by_peer)
    return out
