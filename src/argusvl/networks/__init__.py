"""Networks that two tasks share."""
