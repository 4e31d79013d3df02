#!/usr/bin/env python3
"""sidekey beside other proxies, doing the same work in the same minute on the same machine. See README.md.

    bench/compare.py [--peers haproxy,nginx,floor] [--scenarios small,kb100,...] [--rounds 5] [--seconds 4] [--json FILE]
"""

import argparse
import base64
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import machinery
import peers
from machinery import OTHER_CORE, PROXY_CORE, Process

ROOT = Path(__file__).resolve().parent.parent
AUTHORIZATION = "Basic " + base64.b64encode(f"{peers.USER}:{peers.PASSWORD}".encode()).decode()
FIELD = f"Authorization: {AUTHORIZATION}"

POST = 'wrk.method="POST"; wrk.headers["Content-Type"]="application/octet-stream"; wrk.body=string.rep("x", {})\n'
# Name: path, connections, wrk's script.
LOADS = {
    "small": ("bench/small", 64, None),
    "kb100": ("bench/kb100", 32, None),
    "mb1": ("bench/mb1", 8, None),
    "upload1mb": ("bench/upload", 8, POST.format(1_000_000)),
    "cold": ("bench/small", 16, 'wrk.headers["Connection"]="close"\n'),
    "conns1k": ("bench/small", 1000, None),
}
BASIC_2K = ("bench/upload", 64, POST.format(2048))
HMAC_2K = ("signed/upload", 64, POST.format(2048))
SCENARIOS = [*LOADS, "latency", "idle", "hmac", "http2", "workers"]
STEADY_CONNECTIONS, IDLE_CONNECTIONS = 20, 1000
HTTP2_CONNECTIONS, HTTP2_STREAMS = 4, 16


def main():
    options = read_options()
    names = options.peers.split(",")
    refuse_what_cannot_run(options, names)
    folder = Path(tempfile.mkdtemp(prefix="sidekey-bench-"))
    running, results = [], {name: {} for name in names}
    try:
        prepare(folder)
        running.append(start_origin(folder))
        proxies = []
        for name in names:
            proxies.append(start(folder, name, options))
            running.append(proxies[-1])
            prove(proxies[-1])
            results[name]["start"] = {"ms": proxies[-1].start_ms, "idle_kib": proxies[-1].memory_kib()}
        for scenario in options.scenarios.split(","):
            print(f"{scenario} …", file=sys.stderr, flush=True)
            measure(folder, scenario, proxies, results, options)
    finally:
        for process in reversed(running):
            process.stop()
        shutil.rmtree(folder, ignore_errors=True)
    report(results)
    if options.json:
        machinery.save(options.json, results)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default="sidekey,haproxy,nginx,floor", help=f"of {', '.join(peers.PEERS)}")
    parser.add_argument("--scenarios", default="idle,small,kb100,upload1mb,cold,latency,hmac,http2", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--rounds", type=int, default=5, help="the figures are the medians of so many")
    parser.add_argument("--seconds", type=int, default=4, help="how long each proxy is asked in a round")
    parser.add_argument("--rate", type=int, default=2000, help="requests a second for `latency`")
    parser.add_argument("--binary", default=ROOT / "target/release/sidekey", help="the sidekey to measure")
    parser.add_argument("--json", help="write every round's figures to this file, too")
    return parser.parse_args()


def refuse_what_cannot_run(options, names):
    unknown = [name for name in names if name not in peers.PEERS]
    unknown += [name for name in options.scenarios.split(",") if name not in SCENARIOS]
    if unknown:
        sys.exit(f"no such peer or scenario: {', '.join(unknown)}")
    machinery.refuse_without(["haproxy" if name == "floor" else name for name in names if name != "sidekey"])
    if not Path(options.binary).exists():
        sys.exit(f"there is no {options.binary}: run `cargo build --release`")


def prepare(folder):
    machinery.certificates(folder)
    for name, text in (("user", peers.USER), ("password", peers.PASSWORD)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    site = folder / "www"
    site.mkdir()
    (site / "small").write_text('{"ok":true,"pad":"' + "x" * 480 + '"}')
    (site / "kb100").write_bytes(os.urandom(100_000))
    (site / "mb1").write_bytes(os.urandom(1_000_000))
    # nginx's worker is another user where it is started by root.
    folder.chmod(0o755)


def fill(text, folder, **more):
    return text.format(folder=folder, authorization=AUTHORIZATION, user=peers.USER, tls=peers.ORIGIN_TLS,
                       http2=peers.ORIGIN_HTTP2, plain=peers.ORIGIN_PLAIN, uploads=peers.ORIGIN_UPLOADS, **more)


def start_origin(folder):
    (folder / "origin.conf").write_text(fill(peers.ORIGIN, folder))
    return Process(folder, "origin", ["nginx", "-p", folder, "-c", folder / "origin.conf"], peers.ORIGIN_TLS, OTHER_CORE)


def start(folder, name, options, workers=1, core=PROXY_CORE):
    port, config, file, command = peers.PEERS[name]
    (folder / file).write_text(fill(config, folder, port=port, workers=workers))
    command = [word.format(binary=options.binary, file=folder / file, folder=folder) for word in command]
    return Process(folder, name, command, port, core)


def prove(proxy):
    """It answers, with the credential on. `floor` puts none on: there the caller brings it."""
    status = ask(proxy.port)
    if status != 200:
        sys.exit(f"{proxy.name} answered {status}: {proxy.log.read_text()[-2000:]}")


def ask(port):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(request())
        return int(connection.recv(64 * 1024).split(b" ", 2)[1])


def request():
    return f"GET /bench/small HTTP/1.1\r\nHost: localhost\r\n{FIELD}\r\n\r\n".encode()


def measure(folder, scenario, proxies, results, options):
    if scenario == "idle":
        for proxy in proxies:
            results[proxy.name]["idle"] = [idle(proxy)]
        return
    if scenario == "workers":
        results["sidekey"]["workers"] = two_workers(folder, proxies, options)
        return
    for number in range(options.rounds):
        # Another one is first each time.
        first = number % len(proxies)
        for proxy in proxies[first:] + proxies[:first]:
            if scenario in LOADS or scenario == "latency" or proxy.name == "sidekey":
                for label, figures in measure_once(folder, scenario, proxy, options).items():
                    results[proxy.name].setdefault(label, []).append(figures)


def measure_once(folder, scenario, proxy, options):
    if scenario == "latency":
        url = address(proxy, "bench/small")
        return {scenario: machinery.steady_load(folder, url, STEADY_CONNECTIONS, options.rate, options.seconds, FIELD)}
    if scenario == "hmac":
        return {"basic2k": under_load(folder, proxy, BASIC_2K, options.seconds),
                "hmac2k": under_load(folder, proxy, HMAC_2K, options.seconds)}
    if scenario == "http2":
        return {scenario: under_streams(proxy, options.seconds)}
    return {scenario: under_load(folder, proxy, LOADS[scenario], options.seconds)}


def address(proxy, path):
    return f"http://127.0.0.1:{proxy.port}/{path}"


def under_load(folder, proxy, load, seconds):
    path, connections, script = load
    script = f'wrk.headers["Authorization"]="{AUTHORIZATION}"\n' + (script or "")
    return what_it_costs(proxy, lambda: machinery.full_load(folder, address(proxy, path), connections, seconds, script))


def under_streams(proxy, seconds):
    url = address(proxy, "http2/small")
    return what_it_costs(
        proxy, lambda: machinery.streams_load(url, HTTP2_CONNECTIONS, HTTP2_STREAMS, seconds, FIELD))


def what_it_costs(proxy, load):
    before = proxy.cpu()
    figures = load()
    user, system = (after - start for after, start in zip(proxy.cpu(), before))
    requests = max(figures.pop("requests"), 1)
    figures |= {"cpu_us": (user + system) / requests * 1e6, "user_us": user / requests * 1e6}
    return figures


def idle(proxy):
    """Callers that have asked once, and stay."""
    before = proxy.memory_kib()
    callers = [socket.create_connection(("127.0.0.1", proxy.port), 5) for _ in range(IDLE_CONNECTIONS)]
    for caller in callers:
        caller.sendall(request())
        caller.recv(64 * 1024)
    time.sleep(2)
    kib = (proxy.memory_kib() - before) / IDLE_CONNECTIONS
    for caller in callers:
        caller.close()
    return {"kib_each": kib}


def two_workers(folder, proxies, options):
    """What a second worker is worth: how much dearer a request is with two, and how evenly they share.

    Both run on one core here, so that no third core is needed: two cores would do twice the work of one, less what a
    request costs more, less what the busier worker has more to do than the other.
    """
    rounds = []
    old = next(proxy for proxy in proxies if proxy.name == "sidekey")
    old.stop()
    for _ in range(options.rounds):
        costs = []
        for workers in (1, 2):
            proxy = start(folder, "sidekey", options, workers=workers)
            prove(proxy)
            under_load(folder, proxy, LOADS["small"], 1)
            before = proxy.thread_cpu("worker-")
            costs.append(under_load(folder, proxy, LOADS["small"], options.seconds)["cpu_us"])
            shares = [after - start for after, start in zip(proxy.thread_cpu("worker-"), before)]
            proxy.stop()
        evenness = sum(shares) / len(shares) / max(shares)
        rounds.append({"cpu_us_1": costs[0], "cpu_us_2": costs[1], "evenness": evenness,
                       "times": 2 * costs[0] / costs[1] * evenness})
    return rounds


def report(results):
    names = list(results)
    print(f"{'':32}" + "".join(f"{name:>12}" for name in names))

    def line(label, values):
        texts = ("" if value is None else f"{value:,.2f}" if value < 10 else f"{value:,.0f}" for value in values)
        print(f"{label:32}" + "".join(f"{text:>12}" for text in texts))

    line("start, ms", [results[name]["start"]["ms"] for name in names])
    line("idle, KiB", [results[name]["start"]["idle_kib"] for name in names])
    for scenario in dict.fromkeys(key for name in names for key in results[name] if key != "start"):
        rounds = [results[name].get(scenario) for name in names]
        for figure in next(filter(None, rounds))[0]:
            medians = [taken and statistics.median(row[figure] for row in taken) for taken in rounds]
            line(f"{scenario} {figure}", medians)
            if "sidekey" in names and figure in ("cpu_us", "per_second", "p50", "p99"):
                own = medians[names.index("sidekey")]
                ratios = [own / other if own and other and name != "sidekey" else None
                          for name, other in zip(names, medians)]
                if any(ratios):
                    line("    sidekey to it", ratios)


if __name__ == "__main__":
    main()
