"""Reading what a training run has left: why it died, and what its curves say went wrong before."""
