"""Faster layers for the CPU: packed and quantised weights, each tried before it is used."""
