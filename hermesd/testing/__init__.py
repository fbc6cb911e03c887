"""For tests of hermesd and of what is built on it: fakes, clocks, conformance suites."""
