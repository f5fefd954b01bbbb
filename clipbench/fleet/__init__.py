"""Fleets: plan the tasks of many machines, have an engine run them, collect what they wrote, soak one machine."""
