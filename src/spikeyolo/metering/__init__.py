"""Counting operations and spikes, and what they cost in energy."""
