"""The generated parts of the operator's guide, packaging/README.md: `make docs` writes them."""
