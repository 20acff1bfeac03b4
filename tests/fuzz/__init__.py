"""The fuzzer: small images of every format, changed at random where the inspector reads them (`make fuzz`, docs/fuzzing.md)."""

from tests.fuzz import seeds_content as seeds_content
from tests.fuzz import windows_seeds as windows_seeds
