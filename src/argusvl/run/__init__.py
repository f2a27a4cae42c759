"""One run's folder: its layout, lock, checkpoints and events. Below models and engine, which both open checkpoints."""
