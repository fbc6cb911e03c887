"""Mail addresses as payloads give them."""

from __future__ import annotations

from email.errors import MessageError, NonASCIILocalPartDefect
from email.headerregistry import Address
from email.policy import SMTP
from typing import Final

MAX_ADDRESS_LENGTH: Final = 320  # 64 + "@" + 255, RFC 5321 section 4.5.3.1


class AddressFault(ValueError):
    """A text is not one mail address."""


def parse_address(text: str) -> Address:
    """The one address in `text`: `ann@example.org` or `Ann Example <ann@example.org>`.

    Its domain is in ASCII (RFC 3490), so that only a local part beyond it asks for SMTPUTF8.
    Raises AddressFault where there is no address, or several, or a control character (RFC 5322
    section 3.4).
    """
    if any(not (character.isprintable() or character == "\t") for character in text):
        raise AddressFault(f"{text[:80]!r} holds a control character")
    fault = AddressFault(f"{text[:80]!r} is not one mail address")
    try:
        header = SMTP.header_factory("to", text)
        found = [
            Address(each.display_name, each.username, _ascii(each)) for each in header.addresses
        ]
    except (MessageError, ValueError, IndexError) as error:  # the parser trips over some texts
        raise fault from error
    defects = [each for each in header.defects if not isinstance(each, NonASCIILocalPartDefect)]
    if defects or len(found) != 1 or header.groups[0].display_name is not None:
        raise fault
    address = found[0]
    if not address.username or not address.domain or len(address.addr_spec) > MAX_ADDRESS_LENGTH:
        raise fault
    return address


def _ascii(address: Address) -> str:
    return address.domain.encode("idna").decode("ascii")
