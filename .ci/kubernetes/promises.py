"""What each form promises besides its schema: that what is named exists, and that every line is there by which a pod is
hardened, probed, drained, and keeps its keys to itself.
"""

import pathlib
import re
import tomllib

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# What the pod security standard `restricted` asks for, and a file system that cannot be written to.
HARDENED = {
    "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
}
PROBES = {
    "startupProbe": ["/sidekey", "health"], "readinessProbe": ["/sidekey", "health"],
    "livenessProbe": ["/sidekey", "health", "--live"],
}
METADATA = ["169.254.0.0/16", "100.64.0.0/10", "168.63.129.16/32", "192.0.0.0/24"]
IDLE_CONNECTION = 15 * 2**10   # docs/reliability.md
PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]


def faults_of(name, form):
    manifests = [file for file in form if file.endswith(".yaml") and file != "kustomization.yaml"]
    yield from kustomization_faults(form["kustomization.yaml"], manifests, form)
    pod = form["deployment.yaml"]["spec"]["template"]["spec"]
    config = form["sidekey.toml"]
    yield from pod_faults(pod, form["kustomization.yaml"])
    sidekey = only_sidekey(pod)
    if sidekey is None:
        yield "no container, or more than one, is sidekey"
        return
    yield from container_faults(sidekey)
    yield from secret_faults(config, pod, sidekey)
    yield from memory_faults(config, sidekey)
    if not config.get("server", {}).get("workers"):
        yield "without a CPU limit `workers` has to be set, or there is a thread for each CPU of the node"
    yield from sidecar_faults(pod, config) if name == "sidecar" else gateway_faults(form, pod, sidekey, config)


def kustomization_faults(kustomization, manifests, form):
    if sorted(kustomization["resources"]) != sorted(manifests):
        yield f"the kustomization names {kustomization['resources']}, and there are {manifests}"
    for generator in kustomization["configMapGenerator"]:
        yield from (f"`{file}` is not there" for file in generator["files"] if file not in form)
    if "secretGenerator" in kustomization:
        yield "a Secret is made of files beside the manifests"
    if "namespace" in kustomization and form["namespace.yaml"]["metadata"]["name"] != kustomization["namespace"]:
        yield "the namespace that is made is another"


def only_sidekey(pod):
    found = [container for container in containers(pod) if container["image"].startswith("sidekey:")]
    return found[0] if len(found) == 1 else None


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def pod_faults(pod, kustomization):
    yield from (f"`{key}` opens the pod" for key in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"]
                if pod.get(key))
    if pod.get("automountServiceAccountToken") is not False:
        yield "the pod gets a token for the cluster's API"
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    for image in (container["image"] for container in containers(pod)):
        if not re.search(r":\d+\.\d+\.\d+$|@sha256:", image):
            yield f"the image `{image}` is not pinned"
        if image.startswith("sidekey:") and image != f"sidekey:{version}":
            yield f"the image `{image}` is not the crate's version, {version}"
    made = [generator["name"] for generator in kustomization["configMapGenerator"]]
    yield from (f"nothing makes the ConfigMap `{volume['configMap']['name']}`" for volume in pod["volumes"]
                if "configMap" in volume and volume["configMap"]["name"] not in made)
    # 0440 for the group, as the files are root's. The kubelet would make 0440 of 0400 for it.
    if not pod.get("securityContext", {}).get("fsGroup"):
        yield "without `fsGroup` the user of sidekey cannot read the keys"
    yield from (f"the Secret volume `{volume['name']}` has another mode than 0440" for volume in pod["volumes"]
                if "secret" in volume and volume["secret"].get("defaultMode") != 0o440)


def container_faults(sidekey):
    context = sidekey.get("securityContext", {})
    yield from (f"`securityContext.{key}` is not {value}" for key, value in HARDENED.items() if context.get(key) != value)
    yield from (f"`{key}` is another thing than hardened" for key in context if key not in HARDENED)
    yield from (f"`{key}` brings secrets, or anything, by the environment" for key in ["env", "envFrom"] if key in sidekey)
    for probe, command in PROBES.items():
        if sidekey.get(probe, {}).get("exec", {}).get("command") != command:
            yield f"`{probe}` does not run {command}"
        # A second is the default, which starting a process may take on a busy node.
        elif sidekey[probe].get("timeoutSeconds", 1) < 3:
            yield f"`{probe}` is impatient"
    resources = sidekey.get("resources", {})
    yield from (f"`resources.requests.{key}` is missing" for key in ["cpu", "memory"] if key not in resources.get("requests", {}))
    if "memory" not in resources.get("limits", {}):
        yield "memory has no limit"
    if "cpu" in resources.get("limits", {}):
        yield "a CPU limit holds requests up"
    for mount in sidekey["volumeMounts"]:
        if not mount.get("readOnly"):
            yield f"`{mount['mountPath']}` can be written to"
        if "subPath" in mount or "subPathExpr" in mount:
            yield f"`{mount['mountPath']}` is a subPath, which is never updated"


def memory_faults(config, sidekey):
    """What an idle connection takes, and the bodies that are held, leave a quarter for the bodies that stream."""
    server = config.get("server", {})
    if "max_connections" not in server or "max_buffered" not in server:
        yield "connections and bodies are bounded for a machine, not for the pod's memory"
    elif "memory" in sidekey.get("resources", {}).get("limits", {}):
        taken = server["max_connections"] * IDLE_CONNECTION + bytes_of(server["max_buffered"].removesuffix("B"))
        if taken > bytes_of(sidekey["resources"]["limits"]["memory"]) * 3 / 4:
            yield "what it lets in is more than the memory that it may have"


def bytes_of(size):
    return int(size[:-2]) * {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[size[-2:]]


def secret_faults(config, pod, sidekey):
    """Every secret is a file of a Secret that the docs say how to make, and that no other container gets."""
    volumes = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
    folders = {mount["mountPath"]: volumes[mount["name"]] for mount in sidekey["volumeMounts"] if mount["name"] in volumes}
    made = secrets_of_the_docs()
    references = [text for text in texts(config) if re.match(r"[a-z]+:", text) and "://" not in text]
    if not references:
        yield "the config names no secret"
    for reference in references:
        kind, _, path = reference.partition(":")
        folder, _, key = path.rpartition("/")
        if kind != "file":
            yield f"`{reference}` is not a file"
        elif folder not in folders:
            yield f"`{reference}` is in no Secret that is mounted"
        elif key not in made.get(folders[folder], set()):
            yield f"docs/kubernetes.md does not say how `{key}` gets into the Secret `{folders[folder]}`"
    for other in containers(pod):
        if other is not sidekey:
            mounted = [mount["name"] for mount in other.get("volumeMounts", [])]
            text = yaml.safe_dump([other.get("env"), other.get("envFrom")])
            if any(volume in mounted or secret in text for volume, secret in volumes.items()):
                yield f"the container `{other['name']}` gets sidekey's keys"


def secrets_of_the_docs():
    """The keys of each Secret for which the page has a command."""
    made = {}
    for command in re.findall(r"create secret generic ([^\n]*)", (ROOT / "docs/kubernetes.md").read_text().replace("\\\n", " ")):
        made.setdefault(command.split()[0], set()).update(re.findall(r"--from-file=([\w.-]+)", command))
    return made


def texts(value):
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


def sidecar_faults(pod, config):
    sidekey = only_sidekey(pod)
    if sidekey not in pod["initContainers"] or sidekey.get("restartPolicy") != "Always":
        yield "it is no native sidecar"
    listening = [listener["address"] for listener in config.get("listen", {}).values()] or ["127.0.0.1:8080"]
    if "admin" not in config:
        yield "there is nobody whom the probes could ask"
    asking = config.get("admin", {}).get("address", "127.0.0.1:9901")
    if not all(address.startswith("127.0.0.1:") for address in [asking, *listening]):
        yield "it listens beyond the pod"
    bases = [entry["value"] for entry in pod["containers"][0].get("env", []) if entry["name"].endswith("_BASE_URL")]
    if bases != [f"http://{address}/{name}" for address in listening for name in config["upstream"]]:
        yield f"the app asks {bases}, and sidekey is {listening}"


def gateway_faults(form, pod, sidekey, config):
    labels = form["deployment.yaml"]["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for port in sidekey["ports"]}
    for what, selector in selectors(form):
        if not selector or not selector.items() <= labels.items():
            yield f"{what} does not select the pods"
    if not config.get("caller"):
        yield "nobody is asked who they are"
    listening = [listener["address"] for listener in config["listen"].values()]
    if listening != [f"0.0.0.0:{ports['proxy']}"]:
        yield f"the port `proxy` is not where it listens, {listening}"
    annotations = form["deployment.yaml"]["spec"]["template"]["metadata"]["annotations"]
    scraped = annotations.get("prometheus.io/port") == str(ports["metrics"])
    admin = config.get("admin", {})
    if not scraped or admin.get("address") != f"0.0.0.0:{ports['metrics']}" or not admin.get("dangerously_open"):
        yield "the port `metrics` is not where Prometheus looks, or not where sidekey listens"
    yield from service_faults(form, ports, config)
    yield from scaling_faults(form)
    yield from drain_faults(form["deployment.yaml"], pod, config)
    yield from network_faults(form["network-policy.yaml"]["spec"], ports)


def selectors(form):
    spec = form["deployment.yaml"]["spec"]
    yield "the Deployment", spec["selector"]["matchLabels"]
    yield "the Service", form["service.yaml"]["spec"]["selector"]
    yield "the disruption budget", form["disruption-budget.yaml"]["spec"]["selector"]["matchLabels"]
    yield "the network policy", form["network-policy.yaml"]["spec"]["podSelector"]["matchLabels"]
    for spread in spec["template"]["spec"]["topologySpreadConstraints"]:
        yield f"the spread over {spread['topologyKey']}", spread["labelSelector"]["matchLabels"]


def service_faults(form, ports, config):
    service = form["service.yaml"]
    if [port["targetPort"] for port in service["spec"]["ports"]] != ["proxy"]:
        yield "the Service is for the port `proxy`, and for no other"
    name, namespace = service["metadata"]["name"], form["kustomization.yaml"]["namespace"]
    known = {name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"}
    listed = {listed for listener in config["listen"].values() for listed in listener["names"]}
    if known != listed:
        yield f"the listener's names are not the Service's: {sorted(known ^ listed)}"


def scaling_faults(form):
    scaler, deployment = form["autoscaler.yaml"]["spec"], form["deployment.yaml"]
    target = scaler["scaleTargetRef"]
    if (target["kind"], target["name"]) != (deployment["kind"], deployment["metadata"]["name"]):
        yield "the autoscaler scales something else"
    if scaler.get("minReplicas", 1) < 2:
        yield "a single replica is no gateway"
    if "replicas" in deployment["spec"]:
        yield "`replicas` takes the autoscaler's word back"
    if not any(metric["type"] == "Pods" for metric in scaler["metrics"]):
        yield "the autoscaler does not look at sidekey's own metrics"
    budget = form["disruption-budget.yaml"]["spec"]
    if budget.get("maxUnavailable") != 1:
        yield "the disruption budget has to let one pod go, and no more"


def drain_faults(deployment, pod, config):
    server = config["server"]
    delay = seconds(server.get("drain_delay", "0s"))
    if delay < 5:
        yield "it stops accepting before the cluster has forgotten it"
    spent = seconds(server["drain"]) + delay
    if pod.get("terminationGracePeriodSeconds", 30) <= spent:
        yield f"the kubelet kills it before {spent} s of draining are over"
    if deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
        yield "a rolling update takes a pod away before there is another"


def seconds(duration):
    return int(duration.removesuffix("s"))


def network_faults(policy, ports):
    if sorted(policy["policyTypes"]) != ["Egress", "Ingress"]:
        yield "the network policy leaves a direction open"
    rules = policy.get("ingress", []) + policy.get("egress", [])
    if any(not rule.get("ports") or not (rule.get("from") or rule.get("to")) for rule in rules):
        yield "a rule of the network policy is for everyone, or for every port"
    for rule in policy["ingress"]:
        if any(not peer.get("namespaceSelector", {}).get("matchLabels") for peer in rule.get("from", [])):
            yield "a rule lets in who carries no label"
        yield from (f"the network policy names no port of the pod: {port['port']}" for port in rule.get("ports", [])
                    if port["port"] not in ports)
    blocks = [peer["ipBlock"] for rule in policy["egress"] for peer in rule.get("to", []) if "ipBlock" in peer]
    for block in blocks:
        if block["cidr"] == "0.0.0.0/0":
            left_in = set(METADATA + PRIVATE) - set(block.get("except", []))
            yield from (f"it may connect to {network}" for network in sorted(left_in))
        elif block["cidr"] != "2000::/3":
            yield f"it may connect to {block['cidr']}"
