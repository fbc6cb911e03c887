"""What tests of tracing share: daemons that trace, and a collector that takes their spans."""
