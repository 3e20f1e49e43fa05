"""What has to be asked of Amazon SNS: the certificate that it signs by, and that a topic may send here."""

from __future__ import annotations

import http.client
import ssl
from functools import lru_cache
from urllib.parse import urlsplit

from modules.mail_config.transports.addresses import addresses_of

TIMEOUT_SECONDS = 5.0
MAX_OCTETS = 64 * 1024  # a certificate has some 2 KB


@lru_cache(maxsize=16)
def certificate(url: str) -> bytes:
    """Return the certificate at an address, which the caller has found to be Amazon's; it is asked for once.

    Raises:
        OSError: It is not reached.
        ValueError: There is none.
    """
    return fetched(url)


def fetched(url: str) -> bytes:
    """Return what an address of Amazon answers; redirects are not followed, since they may lead anywhere.

    Raises:
        OSError: It is not reached, or is not a public address.
        ValueError: It answers with no page.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = addresses_of(host, 443, allow_local=False, only_public=True)[0]
    connection = http.client.HTTPConnection(address, 443, timeout=TIMEOUT_SECONDS)
    try:
        connection.connect()
        connection.sock = ssl.create_default_context().wrap_socket(connection.sock, server_hostname=host)
        path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"It answers {answer.status}.")
        return answer.read(MAX_OCTETS)
    except http.client.HTTPException as error:
        raise OSError(type(error).__name__) from error
    finally:
        connection.close()
