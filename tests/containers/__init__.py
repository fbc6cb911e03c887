"""What compose.yaml and the manifests for Kubernetes have run, in one shape."""
