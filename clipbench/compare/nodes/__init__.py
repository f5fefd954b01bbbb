"""Which nodes of a fleet are sick: by their speed, their failures and their bits."""
