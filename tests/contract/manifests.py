"""What Kubernetes and the operators take, for the manifests of deploy/kubernetes.

Kubernetes' own kinds are checked by its published schemas (kubernetes-validate). Operators publish
theirs inside their releases; those here were written after their documentation: KEDA 2.16,
Prometheus Operator 0.80, and rabbitmq.com/v1beta1. They know the fields that are used and no
others, so that a misspelt one is found: Kubernetes itself would drop it without a word.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator

KUBERNETES_VERSIONS = ("1.34", "1.37")

Manifest = dict[str, Any]
Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
TEXTS: Schema = {"type": "array", "minItems": 1, "items": TEXT}
FLAG: Schema = {"enum": ["true", "false"]}
SECONDS: Schema = {"type": "integer", "minimum": 0}
DURATION: Schema = {"type": "string", "pattern": r"^(\d+(ms|s|m|h))+$"}
ANYTHING: Schema = {}


def fields(required: str, optional: str = "", **types: Schema) -> Schema:
    """An object with these fields and no others; a field without a type is a text."""
    names = [*required.split(), *optional.split()]
    return {
        "type": "object",
        "properties": {name: types.get(name, TEXT) for name in names},
        "required": required.split(),
        "additionalProperties": False,
    }


def several(item: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": item}


def resource(spec: Schema) -> Schema:
    metadata = fields("name", "namespace labels", labels={"type": "object"})
    return fields("apiVersion kind metadata spec", metadata=metadata, spec=spec)


SELECTOR = fields(
    "matchLabels", matchLabels={"type": "object", "additionalProperties": TEXT, "minProperties": 1}
)

SCALING = fields(
    "stabilizationWindowSeconds policies",
    stabilizationWindowSeconds=SECONDS | {"maximum": 3600},
    policies=several(
        fields(
            "type value periodSeconds",
            type={"enum": ["Pods", "Percent"]},
            value={"type": "integer", "minimum": 1},
            periodSeconds={"type": "integer", "minimum": 1, "maximum": 1800},
        )
    ),
)

RABBITMQ_TRIGGER = fields(
    "protocol mode value queueName",
    "vhostName excludeUnacknowledged useRegex operation activationValue",
    protocol={"enum": ["auto", "http", "amqp"]},
    mode={"enum": ["QueueLength", "MessageRate"]},
    value={"type": "string", "pattern": r"^\d+(\.\d+)?$"},
    excludeUnacknowledged=FLAG,
    useRegex=FLAG,
    operation={"enum": ["sum", "max", "avg"]},
)

SCRAPE = fields(
    "port",
    "path interval params",
    interval=DURATION,
    params={"type": "object", "additionalProperties": TEXTS},
)

CUSTOM: dict[tuple[str, str], Schema] = {
    ("keda.sh/v1alpha1", "ScaledObject"): resource(
        fields(
            "scaleTargetRef triggers",
            "minReplicaCount maxReplicaCount pollingInterval cooldownPeriod advanced",
            scaleTargetRef=fields("name"),
            minReplicaCount=SECONDS,
            maxReplicaCount={"type": "integer", "minimum": 1},
            pollingInterval=SECONDS,
            cooldownPeriod=SECONDS,
            triggers=several(
                fields(
                    "type authenticationRef metadata",
                    type={"const": "rabbitmq"},
                    authenticationRef=fields("name"),
                    metadata=RABBITMQ_TRIGGER,
                )
            ),
            advanced=fields(
                "horizontalPodAutoscalerConfig",
                horizontalPodAutoscalerConfig=fields(
                    "behavior",
                    behavior=fields("scaleUp scaleDown", scaleUp=SCALING, scaleDown=SCALING),
                ),
            ),
        )
    ),
    ("keda.sh/v1alpha1", "TriggerAuthentication"): resource(
        fields("secretTargetRef", secretTargetRef=several(fields("parameter name key")))
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): resource(
        fields(
            "selector podMetricsEndpoints",
            "jobLabel",
            selector=SELECTOR,
            podMetricsEndpoints=several(SCRAPE),
        )
    ),
    ("monitoring.coreos.com/v1", "ServiceMonitor"): resource(
        fields("selector endpoints", "jobLabel", selector=SELECTOR, endpoints=several(SCRAPE))
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): resource(
        fields(
            "groups",
            groups=several(
                fields(
                    "name rules",
                    rules=several(
                        fields(
                            "alert expr labels annotations",
                            "for",
                            labels=fields("severity"),
                            annotations=fields("summary runbook_url"),
                        )
                    ),
                )
            ),
        )
    ),
    ("rabbitmq.com/v1beta1", "RabbitmqCluster"): resource(
        fields(
            "replicas",
            "image resources persistence rabbitmq affinity",
            replicas={"type": "integer", "minimum": 1},
            resources=ANYTHING,  # as in a pod
            affinity=ANYTHING,
            persistence=fields("storage", "storageClassName"),
            rabbitmq=fields(
                "additionalConfig", additionalConfig={"type": "string", "maxLength": 2000}
            ),
        )
    ),
}


def read(path: Path) -> list[Manifest]:
    """The manifests of a file."""
    return [part for part in yaml.safe_load_all(path.read_text(encoding="utf-8")) if part]


def problems(manifest: Manifest) -> Iterator[str]:
    """What Kubernetes or an operator would not take."""
    schema = CUSTOM.get((manifest["apiVersion"], manifest["kind"]))
    if schema is None:
        yield from _native_problems(manifest)
        return
    for error in Draft202012Validator(schema).iter_errors(manifest):
        yield f"{error.json_path}: {error.message}"
    if manifest["kind"] == "RabbitmqCluster":
        yield from _native_problems(_pod(manifest["spec"]))


def _native_problems(manifest: Manifest) -> Iterator[str]:
    for version in KUBERNETES_VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{version}: {error.message}"


def _pod(spec: Manifest) -> Manifest:
    """A pod with the parts of a broker's specification that are those of a pod."""
    container = {"name": "rabbitmq", "image": spec["image"], "resources": spec["resources"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "rabbitmq"},
        "spec": {"affinity": spec["affinity"], "containers": [container]},
    }
