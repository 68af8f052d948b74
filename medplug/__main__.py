"""`python -m medplug` is `medplug`."""

from .cli import main

main()
