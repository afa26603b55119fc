"""Is the node beside us well? For health checks inside a container, which has neither curl nor a shell to spare.

`python -m workers.alive` asks /readyz on PERDURE_METRICS_PORT, which any role serves, or without it on the API's
PERDURE_PORT. Exit status 0 when the answer is 200.
"""

import os
import sys
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

SECONDS = 4.0  # less than a health check's own patience, so that the reason is printed
API_PORT = "8400"


def address() -> str:
    """Return what to ask, from the same variables the node reads."""
    port = os.environ.get("PERDURE_METRICS_PORT") or os.environ.get("PERDURE_PORT") or API_PORT
    return f"http://127.0.0.1:{port}/readyz"


def main() -> int:
    url = address()
    try:
        # no proxy: the machine's environment must not send a question to ourselves elsewhere
        with build_opener(ProxyHandler({})).open(url, timeout=SECONDS) as answer:
            print(answer.read(2000).decode(errors="replace"))  # noqa: T201  # kept by `docker inspect`
            return 0
    except HTTPError as refusal:
        print(refusal.read(2000).decode(errors="replace"), file=sys.stderr)  # noqa: T201
    except OSError as problem:
        print(f"{url}: {problem}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
