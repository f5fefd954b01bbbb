"""Pure statistics: how large an effect is, how sure, and how many more runs would tell."""
