"""The commands, a room each: they parse, call and print."""
