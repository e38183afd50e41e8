"""Millions of inputs: a run that can be killed and continued, on one machine or on many."""
