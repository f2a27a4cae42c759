"""What detection adds to a run's report: classes, pictures with their boxes, scores."""
