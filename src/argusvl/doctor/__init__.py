"""The doctor: the one vocabulary for what is wrong, of every verb. It knows no task, no model and no trainer."""
