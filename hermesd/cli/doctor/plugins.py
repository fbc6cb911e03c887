"""Whether the plugins load, as the daemon would load them."""

from __future__ import annotations

from collections import Counter

from hermesd.cli.doctor.findings import Finding, Findings, fail, ok, warn
from hermesd.cli.doctor.patient import Patient
from hermesd.handlers.loader import load_plugins

CHECK = "plugins"


def plugins(patient: Patient) -> Findings:
    """What is quarantined and why, and whether a worker has anything to run."""
    section = patient.config.plugins
    catalogue = load_plugins(
        enabled=section.enabled or None, disabled=section.disabled, settings=section.settings
    )
    remedy = (
        "mend it, uninstall it, or put its name into plugins.disabled; then: hermesd plugins list"
    )
    ailing = fail if section.strict else warn
    found: list[Finding] = [ailing(CHECK, problem, remedy) for problem in catalogue.problems]
    if not catalogue.handlers and patient.role.works:
        required = patient.config.worker.require_handlers
        seen = "no plugin gives a handler: a worker has nothing to run"
        install = "install a package with handlers beside hermesd"
        if required:
            install += ", or set worker.require_handlers = false"
        found.append((fail if required else warn)(CHECK, seen, install))
    if not found:
        counts = Counter(str(plugin.status) for plugin in catalogue.plugins)
        told = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
        found.append(ok(CHECK, f"{told or 'none'}; job types {len(catalogue.handlers)}"))
    return found
