"""The pose of hands, and of the objects that they hold, from photographs."""
