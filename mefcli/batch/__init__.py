"""Many brackets, unattended: a plan, a journal beside the outputs, and ways to run."""
