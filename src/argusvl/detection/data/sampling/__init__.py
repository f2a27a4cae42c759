"""Record number i → sample → batch: pictures and their changes, conversation, rows that share a budget, collation."""
