"""What Kubernetes and the operators take, for the manifests of deploy/kubernetes.

Kubernetes' own kinds are checked by its published schemas (kubernetes-validate), those of KEDA and
of the Prometheus Operator by models that are made of theirs (cloudcoil-models-keda,
cloudcoil-models-prometheus-operator). Two have no package, and were written after the
documentation: what KEDA is told of a RabbitMQ, and rabbitmq.com/v1beta1. A field that is not known
is found, too: Kubernetes itself would drop it without a word.
"""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

KUBERNETES_VERSIONS = ("1.34", "1.37")

Manifest = dict[str, Any]
Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"enum": ["true", "false"]}
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


def resource(spec: Schema) -> Schema:
    metadata = fields("name", "namespace labels", labels={"type": "object"})
    return fields("apiVersion kind metadata spec", metadata=metadata, spec=spec)


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

RABBITMQ_CLUSTER = resource(
    fields(
        "replicas",
        "image resources persistence rabbitmq affinity",
        replicas={"type": "integer", "minimum": 1},
        resources=ANYTHING,  # as in a pod
        affinity=ANYTHING,
        persistence=fields("storage", "storageClassName"),
        rabbitmq=fields("additionalConfig", additionalConfig={"type": "string", "maxLength": 2000}),
    )
)

MODELS = {
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}
"""Modules of models, each of an API. They take seconds to import: only where they are needed."""


def read(path: Path) -> list[Manifest]:
    """The manifests of a file."""
    return [part for part in yaml.safe_load_all(path.read_text(encoding="utf-8")) if part]


def problems(manifest: Manifest) -> Iterator[str]:
    """What Kubernetes or an operator would not take."""
    if models := MODELS.get(manifest["apiVersion"]):
        model: type[BaseModel] = getattr(import_module(models), manifest["kind"])
        try:
            model.model_validate_json(json.dumps(manifest), strict=True, extra="forbid")
        except ValidationError as error:
            yield str(error)
        for trigger in manifest["spec"].get("triggers", []):
            yield from _schema_problems(trigger["metadata"], RABBITMQ_TRIGGER)
    elif manifest["kind"] == "RabbitmqCluster":
        yield from _schema_problems(manifest, RABBITMQ_CLUSTER)
        yield from _native_problems(_pod(manifest["spec"]))
    else:
        yield from _native_problems(manifest)


def _schema_problems(part: Manifest, schema: Schema) -> Iterator[str]:
    for error in Draft202012Validator(schema).iter_errors(part):
        yield f"{error.json_path}: {error.message}"


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
