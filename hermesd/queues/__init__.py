"""The rungs below push: where jobs wait that no worker can take now."""
