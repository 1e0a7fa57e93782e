#!/usr/bin/env python3
"""Times our matrix products and those of other libraries in turn, and prints a table of fastest times.

    cargo bench --bench kernels --no-run
    python3 benches/compare_gemm.py "target/release/deps/kernels-… --products" "program of a peer" "another" …

Each program prints JSON lines with `gemm`, `m`, `n`, `k`, `peer`, `median_us` and `min_us`, as ours does. All are pinned to one core,
and each round runs all of them one after another; a figure is the fastest run of all rounds, in GFLOP/s. A ratio is ours by
that of the fastest peer: of the fastest way, and of the way with both matrices as they are, as all peers take them.
"""
import argparse
import collections
import json
import shlex
import subprocess

PREPARED = "prepared"


def as_it_is(case):
    """How we compute a case with both matrices as the peers take them."""
    if "-dw" in case:
        return "weight gradient"
    return "unpacked, transposed" if "-dx" in case else "unpacked"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", default="1")
    arguments = parser.parse_args()
    sizes = {}
    fastest = collections.defaultdict(lambda: collections.defaultdict(lambda: float("inf")))
    for _ in range(arguments.rounds):
        for program in arguments.programs:
            command = ["taskset", "-c", arguments.core, *shlex.split(program)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            for line in filter(lambda line: line.startswith("{"), done.stdout.splitlines()):
                found = json.loads(line)
                case = found["gemm"]
                sizes[case] = (found["m"], found["n"], found["k"])
                who = found["how"] if found["peer"] == "dln" else found["peer"]
                times = fastest[case]
                times[(found["peer"] == "dln", who)] = min(times[(found["peer"] == "dln", who)], found["min_us"])
    print("| product | m × n × k | prepared | as it is | fastest peer | ratio |")
    print("|---|---|---|---|---|---|")
    for case, times in fastest.items():
        m, n, k = sizes[case]
        speed = lambda micros: f"{2e-3 * m * n * k / micros:.1f}"
        ours = {who: time for (dln, who), time in times.items() if dln}
        peers = {who: time for (dln, who), time in times.items() if not dln}
        if not ours or not peers:
            continue
        plain, prepared = ours[as_it_is(case)], ours.get(PREPARED)
        best = min(peers, key=peers.get)
        ratios = [peers[best] / time for time in (prepared, plain) if time]
        print(
            f"| {case} | {m} × {n} × {k} | {speed(prepared) if prepared else '–'} | {speed(plain)} "
            f"| {best} {speed(peers[best])} | {' / '.join(f'{ratio:.2f}' for ratio in ratios)} |"
        )


if __name__ == "__main__":
    main()
