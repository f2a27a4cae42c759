"""What watches a PyTorch loop from outside and fills in evidence: by hooks, without a change to model or loop."""
