"""`deploy/kubernetes`, checked without a cluster: against the schemas of the oldest and the newest Kubernetes that it is for,
and against what it promises. The manifests in the documents are checked against the schemas, too.

Needs `kubernetes-validate`, which brings PyYAML.
"""

import re
import shutil
import subprocess
import sys
import tomllib

import kubernetes_validate
import yaml
from breakages import BREAKAGES, broken
from promises import ROOT, faults_of

FORMS = ROOT / "deploy/kubernetes"
# Native sidecars are on by default from the first, and there for good from the second. The last is the newest there is.
VERSIONS = ["1.29", "1.33", kubernetes_validate.latest_version()]
PAGES = ["README.md", "docs/security.md", "docs/kubernetes.md"]
# Of operators, whose schemas are not Kubernetes' own.
FOREIGN_KINDS = {"PodMonitor"}


def main():
    forms = {name: read(FORMS / name) for name in ["sidecar", "gateway"]}
    faults = [fault for page in PAGES for fault in page_faults(page)]
    for name, form in forms.items():
        faults += [f"{name}: {fault}" for fault in faults_of(name, form)]
        faults += [f"{name}: {fault}" for file, manifest in form.items() if file not in ["kustomization.yaml", "sidekey.toml"]
                   for fault in schema_faults(file, manifest)]
        faults += built_faults(name)
    # What is whole can be broken.
    if not faults:
        faults = [f"{name}: nobody would notice `{path}`" for name, path, value in BREAKAGES
                  if not any(faults_of(name, broken(forms[name], path, value)))]
    # A key with a slip in it is what the schemas are for.
    slip = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x", "lables": {}}}
    if len(list(schema_faults("a slip", slip))) != len(VERSIONS):
        faults.append("the schemas take anything")
    for fault in faults:
        print("error:", fault)
    print(f"Kubernetes {', '.join(VERSIONS)}; {len(BREAKAGES)} ways to break a promise")
    sys.exit(1 if faults else 0)


def read(folder):
    """Each file by its name: YAML and TOML as what they say."""
    return {path.name: tomllib.loads(path.read_text()) if path.suffix == ".toml" else yaml.safe_load(path.read_text())
            for path in sorted(folder.iterdir())}


def schema_faults(place, manifest):
    if manifest["kind"] in FOREIGN_KINDS:
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{place}: Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{place}: {error.message}"


def page_faults(path):
    """The manifests in a page: those that say their kind."""
    for block in re.findall(r"^```yaml\n(.*?)^```", (ROOT / path).read_text(), re.DOTALL | re.MULTILINE):
        for manifest in yaml.safe_load_all(block):
            if isinstance(manifest, dict) and "kind" in manifest:
                yield from schema_faults(f"{path}, {manifest['kind']}", manifest)


def built_faults(name):
    """The form as kubectl builds it, where there is a kubectl."""
    if not shutil.which("kubectl"):
        print(f"{name}: not built: there is no kubectl")
        return
    built = subprocess.run(["kubectl", "kustomize", FORMS / name], capture_output=True, text=True)
    if built.returncode:
        yield f"{name}: kubectl cannot build it: {built.stderr.strip()}"
        return
    for manifest in yaml.safe_load_all(built.stdout):
        yield from schema_faults(f"{name}, as built, {manifest['kind']}", manifest)


main()
