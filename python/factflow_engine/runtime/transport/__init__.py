"""Transports of frames between routes and the program around them: in memory, or through a durable provider.

Kept separate from `hop`, which works on channels in memory, wherever their frames come from.
"""
