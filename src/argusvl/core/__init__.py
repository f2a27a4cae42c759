"""What everything stands on: errors, image I/O, boxes, logging. Imports nothing of ours."""
