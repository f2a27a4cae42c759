"""From annotation files to batches: records, formats, conversion, checks, conversation, dataset, collation."""
