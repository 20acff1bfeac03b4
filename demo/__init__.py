"""The demo: a real disk image, and the story told with it."""
