"""What every HTTP client of the suites has in common."""
from __future__ import annotations

import ssl

#: For `verify=`: the suites speak plain HTTP, and reading a bundle of authorities takes each new client 50 ms of a core.
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
