"""The parts of benchmarks/run: peers, the guest's initramfs, the measurements, the report."""
