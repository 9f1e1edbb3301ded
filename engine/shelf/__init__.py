"""Models in memory: loaded when they are asked for, given back when others need the room.

What a public model offers is fitted here to what the engine's tasks ask of any model.
"""
