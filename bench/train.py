#!/usr/bin/env python3
"""The release build, made for what it does most (profile-guided optimisation): built once to count which code runs, asked as
`compare.py` asks, and built again with the counts. See README.md.

    bench/train.py [--target-dir target/trained]
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import compare
import machinery
import peers

SCENARIOS = ["small", "kb100", "upload1mb", "cold", "conns1k", "hmac", "http2"]
SECONDS = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target-dir", type=Path, default=compare.ROOT / "target/trained", help="where it is built")
    folder = parser.parse_args().target_dir.resolve()
    machinery.refuse_without([])
    version = ask_rustc("-vV")
    target = re.search(r"^host: (.+)$", version, re.M).group(1)
    merger = find_merger(target, re.search(r"^LLVM version: (\d+)", version, re.M).group(1))
    counts, profile = folder / "counts", folder / "counts.profdata"
    shutil.rmtree(counts, ignore_errors=True)
    counting = build(folder / "counting", target, f"-Cprofile-generate={counts}")
    train(counting)
    counted = list(counts.glob("*.profraw"))
    if not counted:
        sys.exit(f"{counting} wrote no counts to {counts}")
    subprocess.run([merger, "merge", "-o", profile, *counted], check=True)
    print(build(folder, target, f"-Cprofile-use={profile}"))


def ask_rustc(*question):
    """The one that builds: a folder may name its toolchain."""
    return subprocess.run(["rustc", *question], check=True, capture_output=True, text=True, cwd=compare.ROOT).stdout.strip()


def find_merger(host, llvm):
    """What makes one profile of the counts: it has to be of the compiler's own LLVM."""
    own = Path(ask_rustc("--print", "sysroot"), "lib/rustlib", host, "bin/llvm-profdata")
    for place in (own, f"llvm-profdata-{llvm}"):
        if found := shutil.which(place):
            return found
    sys.exit(f"no llvm-profdata of LLVM {llvm}: `rustup component add llvm-tools`, or Debian's llvm-{llvm}")


def build(folder, target, flag):
    """With the same settings each time: counts belong to functions, whose names are made of the settings, too. The target is named so
    that what runs while it is built, procedural macros, is left alone.
    """
    flags = f"{os.environ.get('RUSTFLAGS', '')} {flag}".strip()
    command = ["cargo", "build", "--release", "--locked", "--bin", "sidekey", "--target", target, "--target-dir", folder]
    subprocess.run(command, check=True, cwd=compare.ROOT, env=os.environ | {"RUSTFLAGS": flags})
    return folder / target / "release/sidekey"


def train(binary):
    """It may write its counts only where it is not hardened."""
    port, config, file, command = peers.PEERS["sidekey"]
    peers.PEERS["sidekey"] = port, config, file, [*command, "--no-hardening"]
    options = SimpleNamespace(binary=binary, rounds=1, seconds=SECONDS)
    folder = Path(tempfile.mkdtemp(prefix="sidekey-train-"))
    running = []
    try:
        compare.prepare(folder)
        running.append(compare.start_origin(folder))
        running.append(compare.start(folder, "sidekey", options))
        compare.prove(running[-1])
        for scenario in SCENARIOS:
            print(f"{scenario} …", file=sys.stderr, flush=True)
            compare.measure(folder, scenario, running[-1:], {"sidekey": {}}, options)
    finally:
        for process in reversed(running):
            process.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} failed, with {error.returncode}")
    except KeyboardInterrupt:
        sys.exit("stopped: what was built so far is kept")
