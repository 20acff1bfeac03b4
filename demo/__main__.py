"""``python -m demo`` builds the demo's image and its database, and says where they are."""

import sys

from demo.image import BuildError, build
from demo.security_suite import databases
from demo.telling import CACHE

try:
    build(CACHE)
    folder = databases(CACHE)
except BuildError as error:
    sys.exit(f"error: what the demo needs could not be made: {error}")
print(f"{CACHE / 'debian.qcow2'} is ready, and debian.raw beside it; {folder} has a database of known vulnerabilities")
