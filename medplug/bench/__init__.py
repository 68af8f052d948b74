"""The project's own benchmark: the same work by medplug and by every library that is installed, checked, then timed."""
