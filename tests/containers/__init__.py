"""Images, the stack of docker-compose.yml and the pod of Kubernetes, run by a Docker engine."""
