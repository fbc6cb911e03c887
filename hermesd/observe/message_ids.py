"""The kinds of events that have an id of their own in the journal, the same in every version.

`journalctl MESSAGE_ID=...` finds them, whatever their words are, and systemd/hermesd.catalog says
what they mean (`journalctl -x`). An id is never changed nor used for anything else; a new one
comes from `systemd-id128 new`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MESSAGE_IDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # A daemon's life
        "ready": "6e6e0091072a4d36b46a4dc456a16beb",
        "draining": "e3efea3495654d969bd386b4559bf9f4",
        "drained": "38c78bae28e847a6a2a3af16b3c4f8f4",
        "stopped": "e0909fdb44e74eb89d7131b02c4971eb",
        "cannot go on": "3ff462efca484342955171a587fb2bc5",
        "plugin quarantined": "812b4dc0c95c4c608c3bf428f1023134",
        "event loop stands still, ending": "3d439313e15647b5b6cf3d3499d5d9ed",
        "fleet": "d03f4733e4214316afdf955b97786d8e",
        "configuration reloaded": "cb0c33f7b4bf4ec7bc0e96a6ef7a7dfa",
        "restart needed": "bc8e011342864634a9ffbd425273bac8",
        "configuration refused, the old one stays": "1e5f7c1d585c4028b8d26a16171f512e",
        "self-check failed, the watchdog is not fed": "058e1072bf2e48ab934b3c7484533db7",
        # A job's life
        "job accepted": "9352fafc50c84055a8d90608d4a69ddf",
        "job dispatched": "e905f39ac4a14dc98a7e6a1fbba45d50",
        "job queued": "59fd9c32f2a943b784ffe835941156d8",
        "job ended": "de5deac02e534e04ae0459ac0d39f9f7",
        "job succeeded": "c28d357c9bf3446d9edff8db6169b5c3",
        "job failed": "1fdc4ef344cb4ea491038f782a4dc341",
        "job cancelled": "b728bf8a20a94e5aabd71e5ad379df18",
        "job retries": "cd9b3894862b45a8bc55f1d722bab338",
        "job snoozed": "8ccfd58d9d464325978c3db1ea5f1baa",
        "job released": "605a929048f44d1ab201aa20cd208e31",
        # Workers
        "worker registered": "3d1757c9283740c7b554e6df0aa9c035",
        "worker left": "7bf53025c0fe47eeb9ba095c292b74e5",
        "worker evicted": "27d8ae7543f9408fa465edf09b09eac7",
        "absent worker evicted": "39444da96d1a48f9b12df8275ca73971",
        "worker unrouted": "cecc1742083c4327afdd1d46f96aefe5",
        "registered": "20a339f2c47e43a79f135c9194433cd3",
        "waiting for the api": "e9561bcf785b434fb645c689dc20b6b9",
        "heartbeat failed": "22e7915cecb74b9f9d8db172d8df999e",
        "fenced, coming back": "b65356b142ef410097f60790d162ec62",
        "child.crashed": "6754cc9ec91d4d3fafdf80c725b6885c",
        # What operators order
        "worker ordered": "e36e57b03e8a460984cbf3a5df52fd23",
        "paused queues": "f1c7d80668a045afb3f4f8de357b1db8",
        # The store: away and back
        "cannot rescue yet": "7381aeddf2734d098c27f302d3119960",
        "rescuing again": "7876761555964592b262dc76464268fe",
        "cannot record": "5025c74774814b6ab316c203b2ba5cf6",
        "store commit failed": "5a7f3ba01b034d55ac15309d38f22fe5",
        # The broker
        "broker_connected": "0eb869f05eb44299a1d3ab8f2f5ea8a0",
        "broker_lost": "58b4af9b252644f7b183b7a16bca13ba",
        "broker_away": "e574f82a738a4860b2721c91d0bf1ac3",
        "broker_blocked": "edca097f209944839eb97cc1eac48df2",
        "broker_unblocked": "f13dfad16b1d423b91459d16d8b86f26",
        "queue rung changed": "45276d397b0940fa94f8e837dc70cfb8",
        # Schedules
        "schedule fired": "ce231ce98c074f54903e2797600e0901",
        "schedule missed fires": "0f34a4ba1928418b8c7a59479255266b",
        "schedule cannot fire": "d61eb89101ef4bcebd8daeb78c907d50",
        # Other apis
        "api is gone": "f58ed515e82a464fa510459c6a03fc52",
        "bus between apis is down": "18a2d2ad97224b8c9a53d37bbb0415f5",
        "bus between apis is up again": "7b3df324540444ac8f1895804f6c0581",
        # A defect of hermesd
        "invariant broken": "8b51cc05c7a4490aa742ec7aee325d3b",
    }
)
