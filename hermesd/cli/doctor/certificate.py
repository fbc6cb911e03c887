"""The certificate that an api serves HTTPS with: whether it can be served, and for how long."""

from __future__ import annotations

import contextlib
import ssl
import time
from pathlib import Path
from typing import Final

from hermesd.cli.doctor.findings import Findings, fail, ok, skipped, warn
from hermesd.cli.doctor.patient import Patient
from hermesd.core.errors import ConfigError
from hermesd.daemon.certificate import read_chain

CHECK = "certificate"
SOON_DAYS: Final = 14
_DAY_SECONDS: Final = 86_400
_END: Final = "-----END CERTIFICATE-----"
_ROUNDS: Final = 10


def certificate(patient: Patient) -> Findings:
    """The files as they are now."""
    api = patient.config.api
    if not (patient.role.serves_api and api.tls_cert_file):
        return [skipped(CHECK, "api.tls_cert_file is not set: HTTP without TLS")]
    renew = "renew it; then: systemctl reload, or SIGHUP to the daemon"
    try:
        chain = read_chain(api)
        assert chain is not None, "there is a certificate"
        end = ends_at(Path(api.tls_cert_file).read_text("ascii", "replace"), chain.context)
    except ssl.SSLCertVerificationError as error:
        return [fail(CHECK, f"{api.tls_cert_file}: {error.verify_message}", renew)]
    except ConfigError as error:
        remedy = "set api.tls_cert_file and api.tls_key_file right"
        return [fail(CHECK, "; ".join(error.problems), remedy)]
    days = (end - time.time()) / _DAY_SECONDS
    seen = f"{api.tls_cert_file} ends in {days:.0f} days"
    return [warn(CHECK, seen, renew) if days < SOON_DAYS else ok(CHECK, seen)]


def ends_at(pem: str, serving: ssl.SSLContext) -> float:
    """The end of the first certificate in `pem`, in UTC seconds, by a handshake within memory.

    Python tells it of a peer's certificate only. Who signed it is no matter here. Raises
    SSLCertVerificationError for one whose time is not now.
    """
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname = False
    asking.verify_flags = ssl.VERIFY_X509_PARTIAL_CHAIN
    asking.load_verify_locations(cadata=pem[: pem.index(_END) + len(_END)])
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(there, back, server_side=True)
    client = asking.wrap_bio(back, there)
    for _ in range(_ROUNDS):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            with contextlib.suppress(ssl.SSLWantReadError):
                server.do_handshake()
            continue
        return ssl.cert_time_to_seconds(str((client.getpeercert() or {})["notAfter"]))
    raise ssl.SSLError("the certificate's own server did not show it")
