"""medplug: a medical image in, a model's answer out, in the source's own terms."""
