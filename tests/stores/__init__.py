"""Tests of the stores, and the backends that some of them hold by the hand."""
