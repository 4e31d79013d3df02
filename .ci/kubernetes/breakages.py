"""Each promise, broken once: every line here has to be noticed, or the check of it says nothing."""

import copy

from promises import HARDENED, METADATA, PRIVATE, PROBES

ABSENT = object()
POD = "deployment.yaml|spec|template|spec"
SIDECAR = f"{POD}|initContainers|0"
GATEWAY = f"{POD}|containers|0"
EGRESS = "network-policy.yaml|spec|egress|1"
BREAKAGES = [
    ("sidecar", f"{SIDECAR}|restartPolicy", ABSENT),
    ("sidecar", f"{SIDECAR}|image", "sidekey:latest"),
    ("sidecar", f"{SIDECAR}|image", "sidekey:9.9.9"),
    ("sidecar", f"{POD}|containers|0|image", "curlimages/curl"),
    ("sidecar", f"{POD}|containers|0|env|0|value", "http://127.0.0.1:8080/hub"),
    ("sidecar", f"{POD}|containers|0|volumeMounts", [{"name": "keys", "mountPath": "/keys"}]),
    ("sidecar", f"{POD}|containers|0|envFrom", [{"secretRef": {"name": "shop-keys"}}]),
    ("sidecar", f"{SIDECAR}|env", [{"name": "KEY", "value": "x"}]),
    ("sidecar", f"{SIDECAR}|envFrom", [{"secretRef": {"name": "shop-keys"}}]),
    *(("sidecar", f"{SIDECAR}|securityContext|{key}", ABSENT) for key in HARDENED),
    ("sidecar", f"{SIDECAR}|securityContext|capabilities|add", ["NET_ADMIN"]),
    ("sidecar", f"{SIDECAR}|securityContext|privileged", True),
    *(("sidecar", f"{SIDECAR}|{probe}", ABSENT) for probe in PROBES),
    ("sidecar", f"{SIDECAR}|livenessProbe|exec|command", ["/sidekey", "health"]),
    ("sidecar", f"{SIDECAR}|readinessProbe|timeoutSeconds", ABSENT),
    ("sidecar", f"{SIDECAR}|resources|requests", ABSENT),
    ("sidecar", f"{SIDECAR}|resources|limits", ABSENT),
    ("sidecar", f"{SIDECAR}|resources|limits|cpu", "100m"),
    ("sidecar", f"{SIDECAR}|volumeMounts|1|subPath", "imagga-key"),
    ("sidecar", f"{SIDECAR}|volumeMounts|1|readOnly", ABSENT),
    ("sidecar", f"{SIDECAR}|volumeMounts|1|mountPath", "/run/secrets/elsewhere"),
    ("sidecar", f"{POD}|volumes|1|secret|defaultMode", ABSENT),
    ("sidecar", f"{POD}|volumes|1|secret|secretName", "elsewhere"),
    ("sidecar", f"{POD}|volumes|0|configMap|name", "elsewhere"),
    ("sidecar", f"{POD}|securityContext|fsGroup", ABSENT),
    ("sidecar", f"{POD}|automountServiceAccountToken", ABSENT),
    ("sidecar", f"{POD}|hostNetwork", True),
    ("sidecar", f"{POD}|shareProcessNamespace", True),
    ("sidecar", "sidekey.toml|listen", {"open": {"address": "0.0.0.0:8080"}}),
    ("sidecar", "sidekey.toml|admin", {"address": "0.0.0.0:9901"}),
    ("sidecar", "sidekey.toml|admin", ABSENT),
    ("sidecar", "sidekey.toml|server|max_connections", ABSENT),
    ("sidecar", "sidekey.toml|server|max_connections", 10000),
    ("sidecar", "sidekey.toml|server|max_buffered", "64MiB"),
    ("sidecar", "sidekey.toml|server|workers", ABSENT),
    ("sidecar", "sidekey.toml|upstream|imagga|auth|basic|password", "env:IMAGGA_API_SECRET"),
    ("sidecar", "sidekey.toml|upstream|imagga|auth|basic|password", "file:/run/secrets/sidekey/other"),
    ("sidecar", "kustomization.yaml|resources", []),
    ("sidecar", "kustomization.yaml|configMapGenerator|0|files", ["other.toml"]),
    ("sidecar", "kustomization.yaml|secretGenerator", [{"name": "shop-keys"}]),
    ("gateway", "kustomization.yaml|namespace", "default"),
    ("gateway", f"{GATEWAY}|ports|0|containerPort", 8081),
    ("gateway", f"{POD}|terminationGracePeriodSeconds", ABSENT),
    ("gateway", "deployment.yaml|spec|strategy|rollingUpdate|maxUnavailable", 1),
    ("gateway", "deployment.yaml|spec|replicas", 2),
    ("gateway", "deployment.yaml|spec|template|metadata|labels", {"app.kubernetes.io/name": "other"}),
    ("gateway", "sidekey.toml|caller", ABSENT),
    ("gateway", "sidekey.toml|server|drain", "60s"),
    ("gateway", "sidekey.toml|server|drain_delay", ABSENT),
    ("gateway", "sidekey.toml|admin", ABSENT),
    ("gateway", "sidekey.toml|admin|dangerously_open", ABSENT),
    ("gateway", "deployment.yaml|spec|template|metadata|annotations", {}),
    ("gateway", "sidekey.toml|listen|cluster|names", ["sidekey"]),
    ("gateway", "service.yaml|spec|selector", {"app.kubernetes.io/name": "other"}),
    ("gateway", "service.yaml|spec|ports|0|targetPort", "metrics"),
    ("gateway", "autoscaler.yaml|spec|scaleTargetRef|name", "other"),
    ("gateway", "autoscaler.yaml|spec|minReplicas", ABSENT),
    ("gateway", "autoscaler.yaml|spec|metrics|0", ABSENT),
    ("gateway", "disruption-budget.yaml|spec|maxUnavailable", 0),
    ("gateway", "disruption-budget.yaml|spec|selector|matchLabels", {}),
    ("gateway", "network-policy.yaml|spec|policyTypes", ["Ingress"]),
    ("gateway", "network-policy.yaml|spec|ingress|0|from", ABSENT),
    ("gateway", "network-policy.yaml|spec|ingress|0|ports", ABSENT),
    ("gateway", "network-policy.yaml|spec|ingress|0|from|0|namespaceSelector", {}),
    ("gateway", "network-policy.yaml|spec|ingress|1|ports|0|port", "admin"),
    ("gateway", "network-policy.yaml|spec|podSelector|matchLabels", {}),
    ("gateway", f"{EGRESS}|ports", ABSENT),
    *(("gateway", f"{EGRESS}|to|0|ipBlock|except", [kept for kept in METADATA + PRIVATE if kept != left])
      for left in METADATA + PRIVATE),
    ("gateway", f"{EGRESS}|to|1|ipBlock|cidr", "::/0"),
]


def broken(form, path, value):
    """A copy of the form in which what is at `path` is `value`, or is not there."""
    form = copy.deepcopy(form)
    at = form
    *way, last = [int(part) if part.isdigit() else part for part in path.split("|")]
    for part in way:
        at = at[part]
    if value is ABSENT:
        del at[last]
    else:
        at[last] = value
    return form
