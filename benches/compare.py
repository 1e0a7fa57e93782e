#!/usr/bin/env python3
"""Times the benchmark binary and other frameworks in turn, and prints a table of ratios.

    cargo bench --bench bench --no-run
    python3 benches/compare.py target/release/deps/bench-… peers.py

The second program takes `--workload W --batch B --threads T --seconds S --peer P` and prints one JSON line with
`median_us` and `min_us`, as the first does. Both are pinned to the same cores, and each round runs all of them one after
another; a figure is the fastest run of all rounds, and the median of the rounds' medians.
"""
import argparse
import json
import statistics
import subprocess
import sys

# Workload, batch, threads, and the peers that may be the fastest.
ROWS = [
    *[("mlp", batch, threads, ["jax", "torch"]) for batch in (32, 64, 256) for threads in (1, 2)],
    *[("lenet", 64, threads, ["torch-cl"]) for threads in (1, 2)],
    *[("cnn", 64, threads, ["torch-cl"]) for threads in (1, 2)],
    *[("lstm", 32, threads, ["torch"]) for threads in (1, 2)],
    *[("transformer", 16, threads, ["torch"]) for threads in (1, 2)],
    *[(workload, batch, 1, ["ort"]) for workload in ("mlp-inf", "lenet-inf", "cnn-inf") for batch in (1, 32)],
]


def run(command, threads):
    """The figures that a pinned command prints, or nothing if it fails."""
    pinned = ["taskset", "-c", "1" if threads == 1 else f"0-{threads - 1}", *command]
    done = subprocess.run(pinned, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{") and "median_us" in line]
    return json.loads(lines[-1]) if lines else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", help="a workload")
    arguments = parser.parse_args()
    print("| workload | batch | threads | dln, µs | fastest peer, µs | ratio |")
    print("|---|---|---|---|---|---|")
    for workload, batch, threads, peers in ROWS:
        if arguments.only not in (None, workload):
            continue
        common = ["--workload", workload, "--batch", str(batch), "--threads", str(threads), "--seconds", str(arguments.seconds)]
        commands = {"dln": [arguments.bench, *common]}
        for peer in peers:
            commands[peer] = [sys.executable, arguments.peers, *common, "--peer", peer]
        found = {name: [] for name in commands}
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                if figures := run(command, threads):
                    found[name].append(figures)
        fastest = {name: min(each["min_us"] for each in runs) for name, runs in found.items() if runs}
        median = {name: statistics.median(each["median_us"] for each in runs) for name, runs in found.items() if runs}
        ours = fastest.pop("dln"), median["dln"]
        best = min(fastest, key=fastest.get)
        theirs = fastest[best], median[best]
        pair = lambda values: " / ".join(f"{value:,.0f}" if value >= 100 else f"{value:.1f}" for value in values)
        ratio = " / ".join(f"{a / b:.2f}" for a, b in zip(theirs, ours))
        print(f"| {workload} | {batch} | {threads} | {pair(ours)} | {best} {pair(theirs)} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
