"""Instances, their system disks and licence charges: launch, re-initialise, replace the OS, release."""
