"""``python -m demo`` builds the demo's image and says where it is."""

import sys

from demo.image import BuildError, build
from demo.telling import CACHE

try:
    build(CACHE)
except BuildError as error:
    sys.exit(f"error: the demo's image could not be built: {error}")
print(f"{CACHE / 'debian.qcow2'} is ready, and debian.raw beside it")
