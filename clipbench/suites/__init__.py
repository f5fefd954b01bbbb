"""Suites: YAML to cases, and what a case comes to on this machine."""
