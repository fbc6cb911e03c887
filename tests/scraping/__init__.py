"""What Prometheus sees of daemons, and what the files in packaging/ ask of it."""
