"""Policies: what operators decide, as versioned YAML. This is the one loader; a new decision is a new key of the model.

`model` says which keys there are, `document` reads YAML with positions, `loader` puts them together. Two policies ship: `gate`
for services and `inspect` for the command line.
"""

from shared.policy.loader import SHIPPED, Policy, PolicyError, RegionPolicy, load_policy, shipped_policy

__all__ = ["SHIPPED", "Policy", "PolicyError", "RegionPolicy", "load_policy", "shipped_policy"]
