"""hermesd: a distributed job-processing daemon."""

__version__ = "0.1.0"
