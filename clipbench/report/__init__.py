"""Reports: what comparisons and plans look like to people and to other programs."""
