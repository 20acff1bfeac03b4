"""``python -m cli`` is ``image-commons``."""

from cli.main import main

main()
