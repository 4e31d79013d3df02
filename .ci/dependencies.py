"""What can be known of the dependencies without a network: licences, and that there is one stack of each kind.

Known vulnerabilities cannot: the advisory database is not in any package registry. Where it can be reached, run
`cargo audit` or `cargo deny check advisories` beside this.
"""

import re
import subprocess
import sys

# All may be combined with Apache-2.0 OR MIT in one binary. CDLA is that of Mozilla's roots, which are data.
LICENCES = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "OpenSSL", "Unicode-3.0", "Unlicense", "Zlib",
}

# A second one of what there is already, or a way around it.
BANNED = {
    "openssl": "rustls is the TLS", "openssl-sys": "rustls is the TLS", "native-tls": "rustls is the TLS",
    "boring": "rustls is the TLS", "s2n-tls": "rustls is the TLS",
    "ring": "aws-lc-rs is the crypto of TLS", "rustls-pemfile": "rustls-pki-types reads PEM",
    "reqwest": "hyper and `wire` are the HTTP", "ureq": "hyper and `wire` are the HTTP", "curl": "hyper and `wire` are the HTTP",
    "isahc": "hyper and `wire` are the HTTP", "actix-http": "hyper and `wire` are the HTTP",
    "async-std": "tokio is the runtime", "smol": "tokio is the runtime",
}

# The least versions that are without a fault which is known to matter here.
AT_LEAST = {"h2": (0, 4, 16), "rustls-webpki": (0, 103, 13), "bytes": (1, 11, 1)}


def main():
    packages = tree()
    faults = [fault for package in packages for fault in faults_of(*package)]
    print(f"{len(packages)} packages; advisories not checked: the database cannot be fetched from a package registry")
    names = [name for name, _, _ in packages]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        print("in two versions:", ", ".join(twice))
    # Or fuzzing would change it.
    if subprocess.run(["cargo", "tree", "--locked", "--manifest-path=fuzz/Cargo.toml"], capture_output=True).returncode:
        faults.append("`fuzz/Cargo.lock` is older than `Cargo.toml`: run `cargo update -w --manifest-path fuzz/Cargo.toml`")
    for fault in faults:
        print("error:", fault)
    sys.exit(1 if faults else 0)


def tree():
    """Name, version and licence of what is compiled here. `cargo metadata` would list what no feature asks for, too."""
    lines = subprocess.check_output(
        ["cargo", "tree", "--locked", "--prefix=none", "--no-dedupe", "--format={p}|{l}"], text=True).splitlines()
    packages = {(*line.split("|")[0].split()[:2], line.split("|")[1]) for line in lines if line}
    return sorted((name, version.removeprefix("v"), licence) for name, version, licence in packages)


def faults_of(name, version, licence):
    if name in BANNED:
        yield f"`{name}` is in the tree: {BANNED[name]}"
    if name in AT_LEAST and numbers(version) < AT_LEAST[name]:
        yield f"`{name}` {version} is older than {'.'.join(map(str, AT_LEAST[name]))}"
    if not allowed(licence):
        yield f"`{name}` has the licence `{licence}`"


def allowed(expression):
    """Whether an SPDX expression can be met with LICENCES. `/` is how it was written before SPDX."""
    words = re.findall(r"\(|\)|[^\s()]+", re.sub(r"(?<=\w)\s+WITH\s+", "\0", expression.replace("/", " OR ")))
    python = [{"AND": "and", "OR": "or", "(": "(", ")": ")"}.get(word) or str(word.replace("\0", " WITH ") in LICENCES)
              for word in words]
    return bool(words) and eval(" ".join(python), {"__builtins__": {}})


def numbers(version):
    return tuple(int(part) for part in re.split(r"[-+]", version)[0].split("."))


main()
