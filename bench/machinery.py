"""Processes, their CPU time and memory, certificates, and the two load generators."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROXY_CORE, OTHER_CORE = "0", "1"
START_LIMIT = 20


class Process:
    """A program on one core, until `stop`. Its log is `name.log` in the folder."""

    def __init__(self, folder, name, command, port, core):
        self.name, self.port = name, port
        self.log = folder / f"{name}.log"
        pinned = ["taskset", "-c", core, *map(str, command)]
        began = time.monotonic()
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(pinned, stdout=log, stderr=log, start_new_session=True)
        while not accepts(port):
            if self.process.poll() is not None or time.monotonic() - began > START_LIMIT:
                self.stop()
                sys.exit(f"{name} did not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.001)
        self.start_ms = (time.monotonic() - began) * 1000

    def family(self):
        """The process and those that it has begun: nginx works in a child."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    waiting += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
            except OSError:
                pass
        return found

    def cpu(self):
        """Seconds of CPU so far: in the program, and in the kernel for it."""
        user = system = 0
        for pid in self.family():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                user, system = user + int(fields[11]), system + int(fields[12])
            except OSError:
                pass
        return user / TICKS, system / TICKS

    def thread_cpu(self, prefix):
        """Seconds of CPU of each thread whose name begins so."""
        found = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            if (task / "comm").read_text().startswith(prefix):
                fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
                found.append((int(fields[11]) + int(fields[12])) / TICKS)
        return found

    def memory_kib(self):
        """The memory that is its own: what it shares with others is counted in parts (PSS)."""
        total = 0
        for pid in self.family():
            try:
                total += int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))
            except OSError:
                pass
        return total

    def stop(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(5)
                return
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    except OSError:
        return False


def refuse_without(programs):
    """Without these, those that the origin and the load are made of, and a core for each side."""
    needed = {"nginx", "wrk", "h2load", "openssl", "taskset", *programs}
    if gone := sorted(program for program in needed if not shutil.which(program)):
        sys.exit(f"not installed: {', '.join(gone)} (bench/README.md says where they come from)")
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cores are needed: one for the proxies, one for the origin and the load")


def certificates(folder):
    """A CA in `ca.pem`, and what it has signed for localhost in `server.pem` and `server.key`."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    (folder / "openssl.cnf").write_text(
        "[req]\ndistinguished_name=name\n[name]\n[ca]\nbasicConstraints=critical,CA:true\nkeyUsage=keyCertSign\n"
        "[server]\nbasicConstraints=CA:false\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "openssl.cnf"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "7", "-extensions", "ca")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "7",
            "-extfile", "openssl.cnf", "-extensions", "server", "-out", "server.pem")


def full_load(folder, url, connections, seconds, script=None):
    """As many requests as get through: wrk says how many those were, and how many of them failed."""
    command = ["taskset", "-c", OTHER_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    if script:
        (folder / "wrk.lua").write_text(script)
        command += ["-s", folder / "wrk.lua"]
    told = subprocess.run([*map(str, command), url], capture_output=True, text=True, check=True).stdout

    def number(pattern):
        found = re.search(pattern, told)
        return sum(map(int, found.groups())) if found else 0

    return {
        "requests": number(r"(\d+) requests in"),
        "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", told).group(1)),
        "failed": number(r"Non-2xx or 3xx responses: (\d+)")
        + number(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)"),
    }


def streams_load(url, connections, streams, seconds, field):
    """As many requests as get through in HTTP/2, so many at a time on each connection."""
    command = ["taskset", "-c", OTHER_CORE, "h2load", f"-c{connections}", f"-m{streams}", "-t1", f"-D{seconds}", "-H", field, url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def number(pattern):
        return int(re.search(pattern, told).group(1))

    return {
        "requests": number(r"(\d+) succeeded"),
        "per_second": float(re.search(r"([\d.]+) req/s", told).group(1)),
        "failed": number(r"(\d+) failed") + number(r"(\d+) 4xx") + number(r"(\d+) 5xx"),
    }


def steady_load(folder, url, connections, rate, seconds, field):
    """So many requests a second, whether they are answered in time or not: how long each took, in microseconds."""
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    subprocess.run(["taskset", "-c", OTHER_CORE, "h2load", "--h1", f"-c{connections}", "-t1", f"-D{seconds}",
                    f"--rps={rate / connections}", "--warm-up-time=1", f"--log-file={log}", "-H", field, url],
                   capture_output=True, check=True)
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    took = sorted(int(row[2]) for row in rows)
    at = lambda part: took[min(len(took) - 1, int(len(took) * part))]
    return {"p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "failed": sum(row[1][:1] != "2" for row in rows)}


def save(path, results):
    Path(path).write_text(json.dumps(results, indent=1) + "\n")
