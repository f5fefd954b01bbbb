"""Getting data and weights: what can be had, what a suite still needs, downloading, unpacking."""
