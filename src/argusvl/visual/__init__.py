"""Drawing boxes with their labels, plots, and the HTML report. Knows no task: plain boxes, texts and numbers."""
