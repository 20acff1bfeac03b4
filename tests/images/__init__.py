"""Real disks and inputs that nobody here made; `make test-images` runs it, the default suite does not."""

import tests.inspector  # noqa: F401 - the inspector's modules go by their bare names from here on
